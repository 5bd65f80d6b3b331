import { render } from 'preact';
import { act } from 'preact/test-utils';
import { afterEach, expect, test, vi } from 'vitest';
import { Problem } from '../api/client';
import { Trouble } from './controls';
import { CopyButton } from './copy';

afterEach(() => {
  document.body.replaceChildren();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('the seconds that are left to wait are counted outside of what is read out at once', () => {
  vi.useFakeTimers();
  act(() => render(<Trouble error={new Problem(429, 'rate_limited', 'Slow.', 3)} onRetry={() => {}} />, document.body));
  const spoken = () => document.querySelector('[role=alert]')?.textContent;
  const first = spoken();
  expect(document.querySelector('button')?.textContent).toContain('(3 s)');
  act(() => void vi.advanceTimersByTime(2000));
  expect(document.querySelector('button')?.textContent).toContain('(1 s)');
  expect(spoken()).toBe(first);
});

test('copying says that it worked, and that it did not', async () => {
  const write = vi.fn(async (_: string) => {});
  vi.stubGlobal('navigator', { clipboard: { writeText: write } });
  act(() => render(<CopyButton label="Copy" text={() => 'the key'} />, document.body));
  document.querySelector('button')?.click();
  await vi.waitFor(() => expect(document.querySelector('[role=status]')?.textContent).toBe('Copied'));
  expect(write).toHaveBeenCalledWith('the key');
  // Over plain HTTP there is no clipboard; and what stood in for it may be forbidden.
  vi.stubGlobal('navigator', {});
  document.execCommand = () => false;
  document.querySelector('button')?.click();
  await vi.waitFor(() => expect(document.querySelector('[role=status]')?.textContent).toContain('by hand'));
  expect(document.querySelector('textarea')).toBeNull();
});
