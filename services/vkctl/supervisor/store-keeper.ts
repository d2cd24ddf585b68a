// Keeps the store of a local cluster going where its disk fills up.
//
// A nats-server that meets the end of its disk does not come back by itself when there is room again: some versions turn
// JetStream off until they are started anew, that of Debian 12 (2.9) stops answering what concerns the stream. What it
// acknowledged is in its files, so it is killed and started again, as soon as there is room and not before. A server that
// answers nothing at all is another matter: it may be stopped, or the machine be slow, and is left alone.
import { connectAs, overTls } from '@odonata/bus/credential.ts';
import { troubleOf } from '@odonata/bus/jetstream-error.ts';
import { DISK_RESERVE_BYTES, StoreDisk } from '@odonata/bus/store-disk.ts';
import type { Logger } from '@odonata/rpc/log.ts';
import { connect, type NatsConnection, type StreamInfo } from 'nats';

const LOOK_MS = 1_000;
const ANSWER_MS = 2_000;
/** Looks at the disk between two questions to the server, while there was always room. */
const CALM_LOOKS = 10;
/** Looks with room after which a server that answers is believed to be well. */
const WATCH_LOOKS = 60;
/** Wrong answers in a row that are enough: after a full disk, and else, when the machine may just be slow. */
const ENOUGH_AFTER_FULL = 2;
const ENOUGH_ELSE = 4;

/** AWAY: it does not answer at all. STUCK: it does, and its JetStream does not, or is off. */
export type StoreHealth = 'WELL' | 'AWAY' | 'STUCK';

/** @param credentials a user for each account of the server; none: nobody asks who one is */
export async function askHealth(
  address: string,
  answerMs = ANSWER_MS,
  credentials: readonly string[] = [],
  ca?: string,
): Promise<StoreHealth> {
  const users = credentials.length === 0 ? [undefined] : credentials;
  const healths = await Promise.all(users.map((user) => askAs(address, answerMs, user, ca)));
  return (
    healths.find((health) => health === 'STUCK') ?? healths.find((health) => health === 'AWAY') ?? 'WELL'
  );
}

/** By a connection of its own: one whose question was not answered hears nothing more. */
async function askAs(
  address: string,
  answerMs: number,
  credentials?: string,
  ca?: string,
): Promise<StoreHealth> {
  let nats: NatsConnection;
  try {
    nats = await connect({
      servers: address,
      ...(credentials === undefined ? {} : connectAs(credentials)),
      ...(ca === undefined ? {} : overTls(ca)),
      name: 'vkctl store keeper',
      reconnect: false,
      timeout: answerMs,
    });
  } catch {
    return 'AWAY';
  }
  try {
    return await askStreams(nats, answerMs);
  } finally {
    void nats.close();
  }
}

async function askStreams(nats: NatsConnection, answerMs: number): Promise<StoreHealth> {
  const manager = await nats.jetstreamManager({ timeout: answerMs, checkAPI: false });
  const jetstream = nats.jetstream({ timeout: answerMs });
  const answers = (asked: Promise<unknown>): Promise<StoreHealth> =>
    asked.then(
      () => 'WELL',
      (error) => (/SILENT|OFF/.test(troubleOf(error)) ? 'STUCK' : 'WELL'),
    );
  // A stream may take nothing more and still tell of itself. A message that must be refused takes the way of all
  // messages and leaves no trace.
  const knock = ({ config }: StreamInfo): Promise<StoreHealth> =>
    answers(
      jetstream.publish(config.subjects[0]!.replace(/[*>]/g, 'knock'), '', {
        expect: { lastSequence: Number.MAX_SAFE_INTEGER },
      }),
    );
  let streams: StreamInfo[] = [];
  const list = async () => {
    streams = await manager.streams.list().next();
  };
  const healths = [await answers(list()), ...(await Promise.all(streams.map(knock)))];
  return healths.includes('STUCK') ? 'STUCK' : 'WELL';
}

export interface StoreKeeperOptions {
  /** Of the server. */
  folder: string;
  address: string;
  /** Who it is to NATS, in each account; none: nobody asks. */
  credentials?: readonly string[];
  /** By which it is known; none: plain TCP. */
  ca?: string | undefined;
  log: Logger;
  /** Kills the server where it runs, and has it started again. */
  restart(): void;
  /** Starts the server where it was given up. */
  revive(): void;
}

export class StoreKeeper {
  readonly #o: StoreKeeperOptions;
  readonly #disk: StoreDisk;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #full = false;
  #looks = 0;
  /** Looks for which the server is asked each time. */
  #watch = 0;
  #wrong = 0;

  constructor(options: StoreKeeperOptions) {
    this.#o = options;
    this.#disk = new StoreDisk(options.folder);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      if (this.#hasRoom()) await this.#judge();
    } finally {
      this.#looking = false;
    }
  }

  #hasRoom(): boolean {
    const { log, folder } = this.#o;
    const free = this.#disk.freeBytes;
    if (free === undefined) return false;
    const full = free < DISK_RESERVE_BYTES;
    if (full) {
      this.#watch = WATCH_LOOKS;
      if (!this.#full)
        log.error({ folder, freeBytes: free }, 'the disk of the backing store is full: free some');
    } else if (this.#full)
      log.info({ folder, freeBytes: free }, 'the disk of the backing store has room again');
    this.#full = full;
    return !full;
  }

  async #judge(): Promise<void> {
    const watched = this.#watch > 0;
    this.#looks += 1;
    if (this.#watch > 0) this.#watch -= 1;
    else if (this.#wrong === 0 && this.#looks % CALM_LOOKS !== 0) return;
    const health = await askHealth(this.#o.address, ANSWER_MS, this.#o.credentials, this.#o.ca);
    // Whoever was given up for its short lives on a full disk is started, too; who runs and is silent is not killed.
    if (health === 'AWAY' && watched) this.#o.revive();
    this.#wrong = health === 'STUCK' ? this.#wrong + 1 : 0;
    if (this.#wrong < (watched ? ENOUGH_AFTER_FULL : ENOUGH_ELSE)) return;
    this.#wrong = 0;
    this.#o.log.warn(
      { health },
      'the store does not answer, and its disk has room: nats-server starts again',
    );
    this.#o.restart();
  }
}
