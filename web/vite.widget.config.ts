/** Builds the widget: one script without a hash in its name, since web sites name it. */

import { resolve } from 'node:path';
import { defineConfig } from 'vite';
import { compressed } from './vite.config';

export default defineConfig({
  plugins: [compressed()],
  build: {
    target: 'es2022',
    emptyOutDir: false,
    lib: {
      entry: resolve('src/widget/widget.tsx'),
      formats: ['iife'],
      name: 'LecternWidget',
      fileName: () => 'widget.js',
    },
  },
  // Sites that say nothing of their encoding have scripts read as Latin-1.
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact', charset: 'ascii' },
});
