// Has this node be as the cluster wants it, also where nobody could tell it: it was not there yet, rested, or was away.
//
// The records (libs/services/wanted.ts) come with those of services, again and again. Each is taken once a revision:
//
//     the record has another revision   what it says of this node counts from now on
//     it is there no more               what it said counts no more
//     it says nothing of this node      the same
import { Code, RpcError } from '@odonata/rpc/error.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import {
  folderOn,
  vkernelOn,
  type WantedFolder,
  type WantedRecord,
  type WantedVkernel,
} from '@odonata/services/wanted.ts';
import type { AllowedDirectories } from '../allowed-directories.ts';
import type { VkernelNames } from '../names/vkernel-names.ts';
import { keyOf } from '../vkernel-child.ts';
import { NO_QUOTA, type VkernelQuotas } from '../vkernel-quotas.ts';
import type { Taken, TakenRecordFile } from './taken-record.ts';

/** A replica that is behind catches up within so many looks; else the store is another one. */
const BEHIND_MAX = 60;

export interface WantedEntry {
  readonly key: string;
  readonly revision: number;
  readonly record: WantedRecord;
}

export interface WantedHereOptions {
  readonly node: string;
  readonly quotas: VkernelQuotas;
  readonly names: VkernelNames;
  readonly directories: Pick<AllowedDirectories, 'list' | 'allow' | 'disallow'>;
  /** The machine is that of another cluster: no folder of it is anybody's. */
  readonly lodges: boolean;
  readonly file: Pick<TakenRecordFile, 'read' | 'save'>;
  /** What a virtual kernel may have is another by now. */
  readonly changed: (key: string) => void;
  readonly log: Logger;
}

export class WantedHere {
  readonly #o: WantedHereOptions;
  readonly #taken: Map<string, Taken>;
  /** Folders that are not there yet, by the revision that was told of in the log. */
  readonly #missing = new Map<string, number>();
  #revision = 0;
  #behind = 0;

  constructor(options: WantedHereOptions) {
    this.#o = options;
    this.#taken = new Map(options.file.read().map((each) => [each.key, each]));
  }

  /** @param revision of the newest change that is in the entries, which are all that there are */
  async take(revision: number, entries: readonly WantedEntry[]): Promise<void> {
    if (revision < this.#revision && ++this.#behind <= BEHIND_MAX) return;
    // Of another store no revision says anything.
    if (revision < this.#revision)
      for (const [key, each] of this.#taken) this.#taken.set(key, { ...each, revision: 0 });
    this.#revision = revision;
    this.#behind = 0;
    let changes = 0;
    const there = new Set<string>();
    for (const entry of entries) {
      there.add(entry.key);
      if (this.#taken.get(entry.key)?.revision === entry.revision) continue;
      if (await this.#takeOne(entry)) changes += 1;
    }
    for (const [key, { about }] of this.#taken) {
      if (there.has(key)) continue;
      this.#drop(about);
      this.#taken.delete(key);
      this.#missing.delete(key);
      changes += 1;
    }
    if (changes > 0) this.#o.file.save([...this.#taken.values()]);
  }

  /** @returns false: it is tried again */
  async #takeOne({ key, revision, record }: WantedEntry): Promise<boolean> {
    if (record.kind === 'folder') {
      if (!(await this.#takeFolder(key, revision, record))) return false;
      this.#taken.set(key, { key, revision, about: { kind: 'folder', path: record.path } });
    } else {
      this.#takeVkernel(record);
      const { user, name } = record;
      this.#taken.set(key, { key, revision, about: { kind: 'vkernel', user, name } });
    }
    return true;
  }

  #takeVkernel(record: WantedVkernel): void {
    const { node, quotas, names, log } = this.#o;
    const said = vkernelOn(record, node);
    const { user, name } = record;
    if (said === undefined) {
      // Of one of which it never said anything somebody else may have.
      if (Object.hasOwn(record.only, node) || this.#hasTaken(record))
        this.#drop({ kind: 'vkernel', user, name });
      return;
    }
    const key = keyOf(record);
    try {
      quotas.set(key, { name, user }, { ...NO_QUOTA, ...said.quota }, false);
      if (said.names !== undefined) names.set(key, { name, user, names: said.names });
    } catch (error) {
      if (!RpcError.is(error)) throw error;
      log.warn(
        { err: error, vkernel: key },
        'this machine cannot hold a virtual kernel to what the cluster wants',
      );
      return;
    }
    log.info(
      { vkernel: key, quota: quotas.of(key) },
      'what a virtual kernel may have, as the cluster wants it',
    );
    this.#o.changed(key);
  }

  #hasTaken({ user, name }: WantedVkernel): boolean {
    return [...this.#taken.values()].some(
      ({ about }) => about.kind === 'vkernel' && about.user === user && about.name === name,
    );
  }

  /** @returns false: it is not there yet */
  async #takeFolder(key: string, revision: number, record: WantedFolder): Promise<boolean> {
    const { node, directories, lodges, log } = this.#o;
    const { path } = record;
    const said = folderOn(record, node);
    if (lodges) return true;
    if (said === undefined || said === 'none') {
      if (said === 'none' || this.#taken.has(key)) this.#drop({ kind: 'folder', path });
      return true;
    }
    const readOnly = said === 'read';
    if (directories.list().some((each) => each.path === path && each.readOnly === readOnly)) return true;
    try {
      await directories.allow(path, readOnly);
      log.info({ path, readOnly }, 'a directory is allowed from now on, as the cluster wants it');
    } catch (error) {
      if (!RpcError.is(error)) throw error;
      if (this.#missing.get(key) !== revision)
        log.warn({ err: error, path }, 'a directory that the cluster allows is none here');
      this.#missing.set(key, revision);
      return error.code !== Code.NotFound;
    }
    this.#missing.delete(key);
    return true;
  }

  #drop(about: Taken['about']): void {
    const { quotas, names, directories, lodges, log } = this.#o;
    if (about.kind === 'vkernel') {
      const key = keyOf(about);
      const had = [quotas.forget(key), names.remove(key)].some(Boolean);
      if (!had) return;
      log.info({ vkernel: key }, 'nothing is said of a virtual kernel any more');
      this.#o.changed(key);
      return;
    }
    const { path } = about;
    if (lodges || !directories.list().some((each) => each.path === path)) return;
    directories.disallow(path);
    log.info({ path }, 'a directory is allowed no more, as the cluster wants it');
  }
}
