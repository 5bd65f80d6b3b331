import { expect, test } from 'vitest';
import { dropped } from './drop';

const file = (fullPath: string) => ({
  isFile: true,
  fullPath,
  file: (done: (file: File) => void) => done(new File(['x'], fullPath.split('/').pop() ?? '')),
});

/** As browsers have it: some entries at a time, and none at the end. */
const folder = (fullPath: string, ...batches: object[][]) => ({
  isFile: false,
  fullPath,
  createReader: () => {
    const left = [...batches];
    return { readEntries: (done: (entries: object[]) => void) => done(left.shift() ?? []) };
  },
});

test('a folder that is dropped brings all that is in it, with its path, but what systems leave there', async () => {
  const many = Array.from({ length: 100 }, (_, index) => file(`/books/${index}.pdf`));
  const books = folder('/books', many, [
    file('/books/.DS_Store'),
    folder('/books/old', [file('/books/old/a.pdf'), file('/books/old/Thumbs.db')]),
  ]);
  const items = [books, file('/alone.txt')].map((entry) => ({ webkitGetAsEntry: () => entry }));
  const { files, unread } = await dropped(items as unknown as DataTransferItemList);
  expect(unread).toEqual([]);
  expect(files).toHaveLength(102);
  expect(files.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['books/99.pdf', 'books/old/a.pdf', 'alone.txt']),
  );
});

test('what can not be opened is named, and the rest is taken', async () => {
  const locked = { ...file('/books/locked.pdf'), file: (_: unknown, fail: (why: Error) => void) => fail(new Error()) };
  const books = folder('/books', [locked, file('/books/open.pdf')]);
  const items = [{ webkitGetAsEntry: () => books }] as unknown as DataTransferItemList;
  const { files, unread } = await dropped(items);
  expect(files.map(({ path }) => path)).toEqual(['books/open.pdf']);
  expect(unread).toEqual(['books/locked.pdf']);
});
