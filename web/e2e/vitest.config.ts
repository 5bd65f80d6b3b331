/** Tests in a real browser on the running product: `make test-page`. */

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: 'e2e',
    include: ['**/*.test.ts'],
    globalSetup: 'product.ts',
    // They share two cores with a model.
    fileParallelism: false,
    expect: { poll: { timeout: 30_000 } },
    testTimeout: 90_000,
    hookTimeout: 60_000,
  },
});
