/** What is dropped or chosen: files, and folders with all that is in them. */

export interface Dropped {
  file: File;
  /** With the folders that it is in: `handbooks/travel.pdf`. */
  path: string;
}

/** What systems leave in folders, and nobody means. */
const JUNK = /(^|\/)(\.[^/]*|Thumbs\.db|desktop\.ini|__MACOSX)(\/|$)/i;

const isMeant = ({ path }: Dropped): boolean => !JUNK.test(path);

export function chosen(files: FileList): Dropped[] {
  return [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })).filter(isMeant);
}

/**
 * The files, and the paths of those that the browser couldn't open.
 * Must be called within the drop: afterwards the browser has emptied `items`.
 */
export async function dropped(items: DataTransferItemList): Promise<{ files: Dropped[]; unread: string[] }> {
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const unread: string[] = [];
  const all = await Promise.all(entries.map((entry) => walk(entry, unread)));
  return { files: all.flat().filter(isMeant), unread: unread.filter((path) => !JUNK.test(path)) };
}

async function walk(entry: FileSystemEntry, unread: string[]): Promise<Dropped[]> {
  const path = entry.fullPath.replace(/^\//, '');
  const found: Dropped[] = [];
  try {
    if (entry.isFile) {
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      return [{ file, path }];
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      // Browsers hand out a hundred at a time, and an empty batch at the end.
      const batch = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return found;
      for (const inner of batch) found.push(...(await walk(inner, unread)));
    }
  } catch {
    unread.push(path);
    return found;
  }
}
