// The demo's text: real input that every checkout has.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';

export interface Corpus {
  files: number;
  bytes: number;
  /** sha256 of the whole, hex. */
  digest: string;
}

const isText = (name: string): boolean => /\.(md|js|ts)$/.test(name) || name === 'LICENSE';

/** Concatenates every .md, .js, .ts and LICENSE file below `root`, in the order of their paths, into `target`. */
export async function collectCorpus(
  root: string,
  target: string,
  onProgress: (corpus: Omit<Corpus, 'digest'>) => void,
  signal: AbortSignal,
): Promise<Corpus> {
  // Not through symbolic links: those lead to our own sources.
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && isText(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = createHash('sha256');
  const out = createWriteStream(target);
  const written = finished(out);
  written.catch(() => {}); // Awaited below; not unhandled until then.
  const corpus = { files: 0, bytes: 0 };
  for (const path of paths) {
    signal.throwIfAborted();
    const text = await readFile(path);
    hash.update(text);
    corpus.files += 1;
    corpus.bytes += text.length;
    if (!out.write(text))
      await Promise.race([new Promise<void>((resolve) => out.once('drain', () => resolve())), written]);
    onProgress(corpus);
  }
  out.end();
  await written;
  return { ...corpus, digest: hash.digest('hex') };
}

/** Cuts a text between lines into files of about the same size. @returns their paths, in order */
export async function cutText(file: string, parts: number): Promise<string[]> {
  const text = await readFile(file);
  const paths: string[] = [];
  for (let part = 0, from = 0; part < parts; part++) {
    const near = Math.floor((text.length * (part + 1)) / parts);
    const to = part === parts - 1 ? text.length : text.indexOf('\n', near) + 1 || text.length;
    const path = `${file}.${part + 1}`;
    await writeFile(path, text.subarray(from, to));
    paths.push(path);
    from = to;
  }
  return paths;
}
