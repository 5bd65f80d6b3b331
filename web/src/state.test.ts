import { expect, test } from 'vitest';
import { isOwnMachine } from './state';

test('only a server on one’s own machine is tried with the key for development', () => {
  expect(['localhost', '127.0.0.1', '[::1]', 'lectern.localhost'].every(isOwnMachine)).toBe(true);
  expect(['lectern.example.org', '127.example.org.evil.com', '10.0.0.1', 'notlocalhost'].some(isOwnMachine)).toBe(
    false,
  );
});
