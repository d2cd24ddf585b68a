import { create, type DescMethod } from '@bufbuild/protobuf';
import { type Address, AddressSchema, type Message } from '@odonata/proto/syslink/v1/syslink';
import { deadline } from '../deadline.ts';
import { Code, fromServiceError, RpcError } from '../error.ts';
import { noAnswer } from '../plain-words.ts';
import { pumpRequests } from '../request-pump.ts';
import type { AnyService, CallOptions, Client } from '../service.ts';
import { decoder, encoder, isRequestStream, isResponseStream, methodPath } from '../service.ts';
import { rootTrace } from '../trace/own.ts';
import { BULK_BYTES, MESSAGE_DEADLINE_MS, requestFrame } from './frame.ts';
import { openLasting } from './lasting-calls.ts';
import type { AddressInit } from './line-circuits.ts';
import type { Lines } from './lines.ts';

/** Whom to call: a name, or an identity; with a session only that start of it. */
export type Target = { readonly name: string } | { readonly sysid: bigint; readonly session?: bigint };

const shown = ({ name, sysid }: AddressInit): string => name || `endpoint ${sysid}`;

/** Calls of this endpoint to others. */
export class Calls {
  readonly #lines: Lines;
  readonly #requestId: string;
  #lastMsgid = 0n;

  constructor(lines: Lines, requestId = '') {
    this.#lines = lines;
    this.#requestId = requestId;
  }

  client<S extends AnyService>(service: S, target: Target): Client<S> {
    const to = create(AddressSchema, target);
    const calls: Record<string, unknown> = { close: () => {} };
    for (const method of service.methods) {
      const { localName, methodKind } = method;
      if (methodKind === 'unary') calls[localName] = this.#unary(method, to);
      else if (isResponseStream(method)) calls[localName] = this.#streaming(method, to);
      else calls[localName] = this.#clientStreaming(method, to);
    }
    return calls as Client<S>;
  }

  #unary(method: DescMethod, to: Address) {
    const proto = methodPath(method);
    const encode = encoder(method.input);
    const decode = answerDecoder(method);
    return async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
      let leftMs = options.deadlineMs || MESSAGE_DEADLINE_MS;
      if (options.waitForReady) {
        const endMs = performance.now() + leftMs;
        await this.#lines.ready({ deadlineMs: leftMs, signal: options.signal });
        leftMs = Math.max(1, Math.ceil(endMs - performance.now()));
      }
      const body = encode(request);
      if (body.length > BULK_BYTES) {
        throw new RpcError(
          Code.ResourceExhausted,
          `a request of ${body.length} bytes; at most ${BULK_BYTES}`,
        );
      }
      const reply = await this.#exchange(to, proto, body, leftMs, options);
      return decode(reply.bulk.length > 0 ? reply.bulk : reply.head);
    };
  }

  #exchange(to: Address, proto: string, body: Uint8Array, deadlineMs: number, options: CallOptions) {
    const { signal, requestId = this.#requestId, trace = rootTrace() } = options;
    return new Promise<Message>((resolve, reject) => {
      if (signal?.aborted) throw new RpcError(Code.Cancelled, 'cancelled by the caller');
      const line = this.#lines.line();
      this.#lastMsgid += 1n;
      const msgid = this.#lastMsgid;
      const settle = (error: RpcError | undefined, reply?: Message) => {
        line.settled(msgid);
        settled();
        signal?.removeEventListener('abort', cancel);
        if (error !== undefined) reject(error);
        else resolve(reply!);
      };
      const cancel = () => {
        line.giveUp(msgid);
        settle(new RpcError(Code.Cancelled, 'cancelled by the caller'));
      };
      const settled = deadline(deadlineMs, () =>
        settle(new RpcError(Code.DeadlineExceeded, noAnswer(shown(to), deadlineMs, proto))),
      );
      signal?.addEventListener('abort', cancel, { once: true });
      const about = { to, proto, msgid, deadlineMs, requestId };
      const request = requestFrame(trace === undefined ? about : { ...about, trace }, body);
      try {
        line.ask(msgid, request, settle);
      } catch (error) {
        settle(fromServiceError(error));
      }
    });
  }

  #streaming(method: DescMethod, to: AddressInit) {
    return (request: unknown, options: CallOptions = {}): AsyncIterable<unknown> =>
      this.#responses(method, to, requestsOf(method, request), options);
  }

  #clientStreaming(method: DescMethod, to: AddressInit) {
    return async (requests: unknown, options: CallOptions = {}): Promise<unknown> => {
      for await (const reply of this.#responses(method, to, requestsOf(method, requests), options))
        return reply;
      throw new RpcError(Code.Internal, `${methodPath(method)} ended without a reply`);
    };
  }

  async *#responses(
    method: DescMethod,
    to: AddressInit,
    requests: AsyncIterable<unknown>,
    options: CallOptions,
  ): AsyncGenerator<unknown> {
    const { signal, deadlineMs = 0, requestId = this.#requestId, trace = rootTrace() } = options;
    const encode = encoder(method.input);
    const decode = answerDecoder(method);
    if (options.waitForReady) {
      await this.#lines.ready({ deadlineMs: deadlineMs || MESSAGE_DEADLINE_MS, signal });
    }
    const init = { to, proto: methodPath(method), requestId, ...(trace && { trace }) };
    const { lasting = false } = options;
    const circuit = lasting
      ? openLasting(this.#lines, { ...init, withCaller: lasting === 'with-caller' })
      : this.#lines.line().openCircuit(init);
    let ending: RpcError | undefined;
    const end = (error: RpcError) => {
      ending ??= error;
      circuit.close(error);
    };
    const cancel = () => end(new RpcError(Code.Cancelled, 'cancelled by the caller'));
    const late = () =>
      end(new RpcError(Code.DeadlineExceeded, noAnswer(shown(to), deadlineMs, methodPath(method))));
    const timer = deadlineMs > 0 ? setTimeout(late, deadlineMs) : undefined;
    signal?.addEventListener('abort', cancel, { once: true });
    if (signal?.aborted) cancel();
    pumpRequests(requests, circuit.over, (request) =>
      circuit.write(encode(request), { given: !Buffer.isBuffer(request) }),
    ).then(
      () => circuit.half(),
      (error) => end(fromServiceError(error)),
    );
    try {
      for await (const bytes of circuit.messages()) yield decode(bytes);
      if (ending !== undefined) throw ending;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
      circuit.close(new RpcError(Code.Cancelled, 'the caller stopped reading'));
    }
  }
}

/** Of a far end: what is wrong with its answer is not what is wrong with our request. */
function answerDecoder(method: DescMethod): (bytes: Uint8Array) => unknown {
  const decode = decoder(method.output);
  return (bytes) => {
    try {
      return decode(bytes);
    } catch (error) {
      const { details } = fromServiceError(error);
      throw new RpcError(Code.Internal, `the answer to ${methodPath(method)} is of no use: ${details}`, {
        cause: error,
      });
    }
  };
}

function requestsOf(method: DescMethod, request: unknown): AsyncIterable<unknown> {
  if (isRequestStream(method)) return request as AsyncIterable<unknown>;
  return (async function* () {
    yield request;
  })();
}
