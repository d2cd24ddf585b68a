// What `up --allow-dir` takes, what it refuses, and what it says of folders that hold what clusters keep.
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allowedFolders } from './allowed-folders.ts';

test('folders of files are taken, what clusters keep is told of or refused, and file systems of no files are refused', () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'allowed-folders-')));
  try {
    const places = { stateDir: join(folder, 'home/c'), runtimeDir: join(folder, 'run/odonata-c') };
    for (const path of ['home/c', 'run/odonata-other', 'data'])
      mkdirSync(join(folder, path), { recursive: true });
    const taken = (path: string) => {
      const notes: string[] = [];
      return [...allowedFolders([join(folder, path)], places, (line) => notes.push(line)), ...notes];
    };
    expect(taken('data')).toEqual([join(folder, 'data')]);
    expect(taken('')).toEqual([
      folder,
      `--allow-dir ${folder} holds ${folder}/home, ${folder}/run/odonata-*, of clusters themselves: no program gets that`,
    ]);
    for (const path of ['home', 'home/c', 'run/odonata-other'])
      expect(() => taken(path), path).toThrow(
        /of clusters themselves .* no program gets it; name another folder/,
      );
    expect(() => taken('nothing')).toThrow(/is not a folder/);
    for (const path of ['/proc', '/proc/self', '/sys'])
      expect(() => allowedFolders([path], places), path).toThrow(
        /file system of kind (proc|sysfs), which is not granted/,
      );
  } finally {
    rmSync(folder, { recursive: true });
  }
});
