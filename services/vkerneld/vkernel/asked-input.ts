// Standard input that is on another node: only what a read asks for comes here, so that all else is there for whoever else reads it.
import { InputState } from '@odonata/proto/vkernel/v1/vkernel';
import { StandardInput } from './standard-input.ts';

const UNREAD_BYTES = 65_536;

export class AskedInput extends StandardInput {
  /** So many bytes at most; 0: whether there are some. */
  readonly #ask: (maxBytes: number) => void;
  #answer: PromiseWithResolvers<void> | undefined;
  /** As it was said last: nothing is there, or something may be. */
  #state: InputState = InputState.UNSPECIFIED;

  constructor(ask: (maxBytes: number) => void) {
    super();
    this.#ask = ask;
  }

  override get isReady(): boolean {
    return this.readable || this.#state === InputState.READY;
  }

  override async request(maxBytes: number): Promise<void> {
    if (this.readable || this.#state === InputState.WAITS || (maxBytes === 0 && this.isReady)) return;
    if (this.#answer === undefined) {
      this.#answer = Promise.withResolvers();
      this.#ask(maxBytes);
    }
    await this.#answer.promise;
  }

  override said(state: InputState): void {
    if (state === InputState.END_ONCE) {
      this.endOnce();
      return;
    }
    this.#answered(state);
    if (state === InputState.READY) this.tell();
  }

  /** Small: more comes only of a pipe that nobody else reads. */
  override leave(): Uint8Array[] {
    const pieces: Uint8Array[] = [];
    for (let piece = this.take(UNREAD_BYTES); piece.length > 0; piece = this.take(UNREAD_BYTES))
      pieces.push(piece);
    const unread = Buffer.concat(pieces);
    return unread.length === 0 || unread.length > UNREAD_BYTES ? [] : [unread];
  }

  override push(data: Uint8Array): boolean {
    const isRoom = super.push(data);
    this.#answered(InputState.UNSPECIFIED);
    return isRoom;
  }

  override endOnce(): void {
    super.endOnce();
    this.#answered(InputState.UNSPECIFIED);
  }

  override end(): void {
    super.end();
    this.#answered(InputState.UNSPECIFIED);
  }

  #answered(state: InputState): void {
    this.#state = state;
    this.#answer?.resolve();
    this.#answer = undefined;
  }
}
