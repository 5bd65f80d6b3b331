/** Unit tests, beside what they test. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
});
