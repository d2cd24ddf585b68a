// The words of the command line, and the environment, as bytes. JavaScript has them as text, in which whatever is not
// UTF-8 was replaced (by U+FFFD) before any code of ours ran; Linux still has them as they were given.
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { EXIT, Failure } from './failure.ts';

/** Text; or bytes, where it is no text. */
export type Word = string | Buffer;

const REPLACED = '\ufffd';
/** Names of variables that whoever started us had already replaced in: see bin/vkctl.js. */
const REPLACED_VARIABLES = 'ODONATA_REPLACED_VARIABLES';

/** What the kernel keeps of a process, a NUL after each. */
function strings(file: string): Buffer[] {
  const all: Buffer[] = [];
  const bytes = readFileSync(file);
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0, at);
    if (end < 0) break;
    all.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return all;
}

/** The words after "vkctl" that are not UTF-8, by their place; text itself may hold U+FFFD. */
export class RawWords {
  readonly #words: ReadonlyMap<number, Buffer>;
  readonly #count: number;
  readonly #taken = new Set<number>();

  /** @param argv as process.argv */
  constructor(argv: readonly string[] = process.argv, cmdline = '/proc/self/cmdline') {
    const texts = argv.slice(2);
    this.#count = texts.length;
    const raw = texts.some((text) => text.includes(REPLACED)) ? strings(cmdline).slice(-texts.length) : [];
    this.#words = new Map([...raw.entries()].filter(([, word]) => !isUtf8(word)));
  }

  /** The last words, of which these are the texts. */
  last(texts: readonly string[]): Word[] {
    const first = this.#count - texts.length;
    return texts.map((text, i) => this.#take(first + i) ?? text);
  }

  /** The value of an option: a word, or the end of one. */
  value(text: string, ...options: string[]): Word {
    if (!text.includes(REPLACED)) return text;
    for (const [i, word] of this.#words) {
      if (this.#taken.has(i)) continue;
      for (const option of ['', ...options]) {
        const end = word.subarray(option.length);
        if (word.toString().startsWith(option) && end.toString() === text) {
          this.#take(i);
          return end;
        }
      }
    }
    return text;
  }

  #take(i: number): Buffer | undefined {
    const word = this.#words.get(i);
    if (word !== undefined) this.#taken.add(i);
    return word;
  }

  /** @throws Failure for the first word that nobody took as bytes */
  expectNoMore(): void {
    for (const [i, word] of this.#words) {
      if (this.#taken.has(i)) continue;
      throw new Failure(`word ${i + 1} of the command line ("${word}") is not UTF-8`, {
        fix: 'Only arguments and variables of a program may be other bytes.',
        exitCode: EXIT.usage,
      });
    }
  }
}

/** A variable of ours, NAME=VALUE; undefined where it is not set. */
export function rawVariable(name: string, environ = '/proc/self/environ'): Word | undefined {
  const value = process.env[name];
  if (value === undefined) return undefined;
  if (process.env[REPLACED_VARIABLES]?.split(',').includes(name))
    throw new Failure(`--env: the value of "${name}" is not UTF-8, and was lost on the way to us`, {
      fix: 'Start vkctl under the Node of its repository, as ./vkctl there does.',
      exitCode: EXIT.usage,
    });
  const text = `${name}=${value}`;
  if (!value.includes(REPLACED)) return text;
  const raw = strings(environ).find((each) => each.subarray(0, name.length + 1).toString() === `${name}=`);
  return raw === undefined || isUtf8(raw) ? text : raw;
}
