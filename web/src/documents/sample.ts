/** A document of our own, for those who have none at hand. */

import sample from '../../assets/sample.pdf?url';
import { Problem } from '../api/client';
import { addFiles } from './uploads';

export const SAMPLE_NAME = 'fernhill-library.pdf';

export async function addSample(): Promise<void> {
  const response = await fetch(sample).catch(() => undefined);
  if (!response?.ok) throw new Problem(response?.status ?? 0, 'unreachable', '');
  const file = new File([await response.arrayBuffer()], SAMPLE_NAME, { type: 'application/pdf' });
  addFiles([{ file, path: SAMPLE_NAME }]);
}
