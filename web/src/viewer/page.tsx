/** A page of a PDF, with the boxes of a passage over it. */

import { useEffect, useRef, useState } from 'preact/hooks';
import type { Span } from '../api/shapes';
import { Spinner } from '../parts/controls';
import { t } from '../texts';
import type { PDFDocumentProxy } from './pdf';

interface Properties {
  pdf: PDFDocumentProxy;
  number: number;
  spans: Span[];
  onFail: () => void;
}

const percent = (share: number) => `${(share * 100).toFixed(3)}%`;

export function Page({ pdf, number, spans, onFail }: Properties) {
  const texts = t.value.source;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const text = useRef<HTMLDivElement>(null);
  const [shape, setShape] = useState<number>();
  const [width, setWidth] = useState(0);
  const [drawn, setDrawn] = useState(false);

  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const watcher = new ResizeObserver(() => setWidth(Math.round(element.clientWidth)));
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);

  useEffect(() => {
    if (!width) return;
    let cancel: (() => void) | undefined;
    let isWanted = true;
    setDrawn(false);
    const draw = async () => {
      const [{ drawPage }, page] = await Promise.all([import('./pdf'), pdf.getPage(number)]);
      if (!isWanted || !canvas.current || !text.current) return;
      const { width: across, height: down } = page.getViewport({ scale: 1 });
      setShape(across / down);
      const drawing = drawPage(page, canvas.current, text.current, width);
      cancel = drawing.cancel;
      await drawing.done;
      if (isWanted) setDrawn(true);
    };
    draw().catch(() => isWanted && onFail());
    return () => {
      isWanted = false;
      cancel?.();
    };
  }, [pdf, number, width]);

  const boxes = spans.filter(({ page }) => page === number).flatMap((span) => span.boxes ?? []);
  const first = useRef<HTMLElement>(null);
  useEffect(() => {
    if (drawn) first.current?.scrollIntoView({ block: 'center', inline: 'nearest' });
  }, [drawn, spans]);

  return (
    <div class="page" ref={frame} data-drawn={drawn} style={{ aspectRatio: shape ? String(shape) : '0.707' }}>
      {!drawn && <Spinner label={texts.loading} />}
      <canvas ref={canvas} aria-hidden="true" />
      <div class="marks" aria-hidden="true">
        {boxes.map(([left, top, right, bottom], index) => (
          <mark
            key={`${left} ${top} ${right} ${bottom}`}
            ref={index === 0 ? first : null}
            style={{
              left: percent(left),
              top: percent(top),
              width: percent(right - left),
              height: percent(bottom - top),
            }}
          />
        ))}
      </div>
      <div class="textLayer" ref={text} role="document" aria-label={texts.page(number)} />
    </div>
  );
}
