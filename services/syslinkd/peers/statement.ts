// What a router says of itself: made and signed here, checked where it comes in. In between it goes from router to router
// as it is, so nobody on the way can add a name to another router, or make one up.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import type { Endpoint, NamedEndpoint, SignedStatement } from '@odonata/proto/syslink/v1/syslink';
import { RouterStatementSchema, SignedStatementSchema } from '@odonata/proto/syslink/v1/syslink';
import { violationOf } from '@odonata/rpc/constraints/message.ts';
import { Code, RpcError } from '@odonata/rpc/error.ts';
import { shownCaller, speaksFor } from '@odonata/rpc/identity/identity.ts';
import { signBytes, signerOf } from '@odonata/rpc/identity/signed-bytes.ts';
import type { TlsFolder } from '@odonata/rpc/identity/tls-folder.ts';
import type { Statement } from '@odonata/syslink/routes/advertisement.ts';

const PURPOSE = 'router statement 1';
/** Statements that were checked lately, by their signature: each comes from several neighbours. */
const CHECKED_MAX = 4_096;

export interface RouterStatement extends Statement {
  readonly endpoints: readonly Endpoint[];
  /** Names that endpoints have registered there. */
  readonly named: readonly NamedEndpoint[];
  readonly sealed: SignedStatement;
}

export type SaidOfItself = Pick<
  RouterStatement,
  'router' | 'name' | 'epoch' | 'sequence' | 'endpoints' | 'named'
>;

export function makeStatement(said: SaidOfItself, folder: TlsFolder | undefined): RouterStatement {
  const { router, name, endpoints } = said;
  const message = create(RouterStatementSchema, {
    ...{ router, name, epoch: BigInt(said.epoch), sequence: BigInt(said.sequence) },
    endpoints: [...endpoints],
    names: [...said.named],
  });
  const statement = toBinary(RouterStatementSchema, message);
  const signed = folder === undefined ? {} : signBytes(folder.identity, PURPOSE, statement);
  const sealed = create(SignedStatementSchema, { statement, ...signed });
  return { ...said, names: endpoints.map(({ name }) => name), sealed };
}

/** Reads statements that others made. */
export class StatementReader {
  readonly #folder: TlsFolder | undefined;
  readonly #checked = new Map<string, RouterStatement>();

  constructor(folder: TlsFolder | undefined) {
    this.#folder = folder;
  }

  /** @throws RpcError INVALID_ARGUMENT, UNAUTHENTICATED, PERMISSION_DENIED */
  read(sealed: SignedStatement, nowMs: number): RouterStatement {
    const key = Buffer.concat([sealed.signature, sealed.statement]).toString('latin1');
    const known = this.#checked.get(key);
    if (known !== undefined) return known;
    const statement = decoded(sealed);
    this.expectOwner(statement, nowMs);
    if (this.#checked.size >= CHECKED_MAX) this.#checked.delete(this.#checked.keys().next().value!);
    this.#checked.set(key, statement);
    return statement;
  }

  /** Looks at all anew: others are revoked now. */
  forget(): void {
    this.#checked.clear();
  }

  /** @throws RpcError UNAUTHENTICATED, PERMISSION_DENIED */
  expectOwner({ name, sealed }: RouterStatement, nowMs: number): void {
    if (this.#folder === undefined) return;
    const signer = signerOf(this.#folder.identity, PURPOSE, sealed.statement, sealed, nowMs);
    if (signer.role === Role.SYSLINKD && speaksFor(signer, name)) return;
    throw new RpcError(Code.PermissionDenied, `${shownCaller(signer)} may not speak for router "${name}"`);
  }
}

function decoded(sealed: SignedStatement): RouterStatement {
  let message: ReturnType<typeof create<typeof RouterStatementSchema>>;
  try {
    message = fromBinary(RouterStatementSchema, sealed.statement);
  } catch (cause) {
    throw new RpcError(Code.InvalidArgument, 'a statement that cannot be read', { cause });
  }
  const violation = violationOf(RouterStatementSchema, message);
  if (violation !== undefined)
    throw new RpcError(Code.InvalidArgument, `a statement that breaks its constraints: ${violation.field}`);
  const { router, name, endpoints } = message;
  const foreign = [...endpoints, ...message.names].find(({ sysid }) => sysid >> 32n !== BigInt(router));
  if (foreign !== undefined)
    throw new RpcError(Code.InvalidArgument, `"${foreign.name}" has an identity of another router`);
  const names = endpoints.map(({ name }) => name);
  const [epoch, sequence] = [Number(message.epoch), Number(message.sequence)];
  return { router, name, epoch, sequence, endpoints, names, named: message.names, sealed };
}
