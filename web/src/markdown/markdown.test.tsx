import { render } from 'preact';
import { describe, expect, test } from 'vitest';
import { pendingCitation, withSources } from './citations';
import { Markdown as Large } from './markdown';
import { safeLink } from './render';
import { Markdown as Small } from './small';

const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  'text <script>alert(1)</script> text',
  '<svg/onload=alert(1)>',
  '[a](javascript:alert(1)) [b](JaVaScRiPt:alert(1)) [c](data:text/html,x) [d](vbscript:x)',
  '![p](https://evil.example.org/p.png)',
  '[1]\n\n[1]: javascript:alert(1)',
  '<a href="javascript:alert(1)" onclick="alert(1)">x</a>',
  '`<b>` **<i>x</i>**',
  '- <iframe src=//evil>\n- ok',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
];

for (const [name, Markdown] of [
  ['the page', Large],
  ['the widget', Small],
] as const) {
  const shown = (text: string, streaming = false) => {
    const place = document.createElement('div');
    const cite = (number: number, key: string) =>
      number < 9 ? (
        <button type="button" key={key}>
          {number}
        </button>
      ) : null;
    render(<Markdown text={text} streaming={streaming} cite={cite} />, place);
    return place;
  };

  describe(`Markdown in ${name}`, () => {
    test.each(HOSTILE)('becomes no element that was not meant: %s', (text) => {
      const place = shown(text);
      expect(place.querySelectorAll('img, script, svg, iframe, i, b, [onclick], [onerror], [style]').length).toBe(0);
      for (const link of place.querySelectorAll('a')) expect(link.href).toMatch(/^https?:/);
    });

    test('paragraphs, lists, code and emphasis are what they say', () => {
      const place = shown('# T\n\nA **b** *c* `d`\n\n- one\n- two\n\n1. three\n\n```\nx < y\n```\n');
      const tags = [...place.querySelectorAll('h3, strong, em, code, ul, ol, pre')].map((element) => element.tagName);
      expect(tags).toEqual(['H3', 'STRONG', 'EM', 'CODE', 'UL', 'OL', 'PRE', 'CODE']);
      expect(place.querySelector('pre')?.textContent).toBe('x < y');
      expect(place.querySelectorAll('ul li').length).toBe(2);
    });

    test('citations of sources become buttons, others disappear', () => {
      const place = shown('So it is [1, 2]. And so [34].');
      expect([...place.querySelectorAll('button')].map((button) => button.textContent)).toEqual(['1', '2']);
      expect(place.textContent).not.toContain('34');
    });

    test('half a citation waits for the rest of it', () => {
      expect(shown('So it is [1', true).textContent).toBe('So it is');
      expect(shown('So it is [1', false).textContent).toContain('[1');
    });

    test('links lead to web pages, in a tab of their own', () => {
      const link = shown('See [this](https://example.org/a).').querySelector('a');
      expect(link?.href).toBe('https://example.org/a');
      expect(link?.rel).toContain('noopener');
    });
  });
}

test('addresses that run something are none', () => {
  expect(safeLink('javascript:alert(1)')).toBeUndefined();
  expect(safeLink('  data:text/html,x')).toBeUndefined();
  expect(safeLink('/relative')).toBeUndefined();
  expect(safeLink('mailto:a@example.org')).toBe('mailto:a@example.org');
});

test('only the end of a text may be the beginning of a citation', () => {
  expect(pendingCitation('a [1] b')).toBe(7);
  expect(pendingCitation('a [1, ')).toBe(1);
});

test('what is copied has the sources that it cites', () => {
  const sources = [
    { number: 1, label: 'a.pdf, page 2' },
    { number: 2, label: 'b.pdf, page 9' },
  ];
  expect(withSources('So [1]. ', sources)).toBe('So [1].\n\n[1] a.pdf, page 2');
});
