/** Builds the page: names with hashes, what PDF.js reads beside its script, and a compressed twin of each file. */

import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, resolve } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const require = createRequire(import.meta.url);
const pdfjs = dirname(require.resolve('pdfjs-dist/package.json'));
const { version } = require('pdfjs-dist/package.json') as { version: string };

/** Fonts that PDFs needn't bring, and encodings of far eastern texts. */
function besidePdfjs(): Plugin {
  return {
    name: 'beside-pdfjs',
    apply: 'build',
    writeBundle({ dir = 'dist' }) {
      for (const folder of ['cmaps', 'standard_fonts']) {
        const to = join(dir, `assets/pdfjs-${version}`, folder);
        mkdirSync(to, { recursive: true });
        cpSync(join(pdfjs, folder), to, { recursive: true });
      }
      copyFileSync(join(pdfjs, 'LICENSE'), join(dir, `assets/pdfjs-${version}/LICENSE`));
    },
  };
}

const COMPRESSED = new Set(['.html', '.js', '.mjs', '.css', '.svg']);

/** Compressed once here rather than at each request. */
export function compressed(): Plugin {
  const compress = (path: string) => {
    const bytes = readFileSync(path);
    writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
    writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  };
  const walk = (folder: string) => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) walk(path);
      else if (COMPRESSED.has(extname(name))) compress(path);
    }
  };
  return { name: 'compressed', apply: 'build', enforce: 'post', closeBundle: () => walk(resolve('dist')) };
}

export default defineConfig({
  plugins: [besidePdfjs(), compressed()],
  define: { __PDFJS_VERSION__: JSON.stringify(version) },
  build: {
    target: 'es2022',
    // Data addresses in scripts and styles would need a laxer policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // The reference of the API, which is one file as its makers build it.
    chunkSizeWarningLimit: 2000,
    rollupOptions: {
      input: {
        index: resolve('index.html'),
        reference: resolve('reference.html'),
        'widget-demo': resolve('widget-demo.html'),
      },
    },
  },
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  server: { proxy: { '/api': process.env.LECTERN_URL ?? 'http://127.0.0.1:8080' } },
});
