/**
 * PDF.js, which is loaded when the first page is looked at.
 *
 * Its worker comes from our own origin, by a policy that the page's Content-Security-Policy names: nothing else on the
 * page may make a script of a string.
 */

import { GlobalWorkerOptions, getDocument, type PDFDocumentProxy, type PDFPageProxy, TextLayer } from 'pdfjs-dist';
import workerUrl from 'pdfjs-dist/build/pdf.worker.min.mjs?url';

/** Where the build puts what PDF.js reads beside its script: fonts and the encodings of far eastern texts. */
const BESIDE = new URL(`${import.meta.env.BASE_URL}assets/pdfjs-${__PDFJS_VERSION__}/`, location.href).href;

declare const __PDFJS_VERSION__: string;

interface Policy {
  createScriptURL(url: string): string;
}
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): Policy;
}

const policy = (globalThis as { trustedTypes?: TrustedTypes }).trustedTypes?.createPolicy('lectern', {
  createScriptURL: (url) => {
    if (new URL(url, location.href).href !== new URL(workerUrl, location.href).href)
      throw new TypeError('not our worker');
    return url;
  },
});

GlobalWorkerOptions.workerPort = new Worker(policy?.createScriptURL(workerUrl) ?? workerUrl, { type: 'module' });

export type { PDFDocumentProxy };

export function openPdf(data: ArrayBuffer): Promise<PDFDocumentProxy> {
  return getDocument({
    data,
    cMapUrl: `${BESIDE}cmaps/`,
    cMapPacked: true,
    standardFontDataUrl: `${BESIDE}standard_fonts/`,
    // Neither scripts nor code made of strings: the file is a stranger's.
    isEvalSupported: false,
    enableXfa: false,
    stopAtErrors: false,
  }).promise;
}

/** More pixels than this on one side are a waste, and too many for phones. */
const PIXELS_MAX = 4096;

export interface Drawn {
  cancel(): void;
  done: Promise<void>;
}

/** Draws a page as wide as it is wanted, with its text above, invisible, to be selected and read aloud. */
export function drawPage(page: PDFPageProxy, canvas: HTMLCanvasElement, text: HTMLElement, width: number): Drawn {
  const plain = page.getViewport({ scale: 1 });
  const viewport = page.getViewport({ scale: width / plain.width });
  const sharpness = Math.min(devicePixelRatio || 1, PIXELS_MAX / Math.max(viewport.width, viewport.height));
  canvas.width = Math.floor(viewport.width * sharpness);
  canvas.height = Math.floor(viewport.height * sharpness);
  text.style.setProperty('--scale-factor', String(viewport.scale));
  text.replaceChildren();
  const drawing = page.render({
    canvasContext: canvas.getContext('2d') as CanvasRenderingContext2D,
    viewport,
    transform: [sharpness, 0, 0, sharpness, 0, 0],
  });
  const layer = new TextLayer({ textContentSource: page.streamTextContent(), container: text, viewport });
  return {
    cancel: () => {
      drawing.cancel();
      layer.cancel();
    },
    done: Promise.all([drawing.promise, layer.render()]).then(() => {}),
  };
}
