// The gateway that the supervisor of a cluster runs, as its owner wants it. vkctl writes, the supervisor carries out, also after
// `down --keep`.
//
//   <stateDir>/identity/gateway.json   mode 0600
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { identityDir } from '@odonata/client/local/identity-folder.ts';
import { fileStamp } from '@odonata/rpc/file-stamp.ts';
import { LOG_LEVELS } from '@odonata/rpc/log.ts';
import { z } from 'zod';
import { replaceFile } from '../cluster/authority-lock.ts';

const wantedSchema = z.object({
  version: z.literal(1),
  /** The file with its policy. */
  policy: z.string().startsWith('/'),
  logLevel: z.enum(LOG_LEVELS),
  /** Names this wish: what runs for an earlier one says nothing of it. */
  asked: z.string(),
  /** For Prometheus, host:port. */
  metricsListen: z.string().optional(),
});
export type WantedGateway = Omit<z.infer<typeof wantedSchema>, 'version'>;

interface Where {
  readonly stateDir: string;
}

const fileOf = (where: Where): string => join(identityDir(where), 'gateway.json');

/** Changes when the wish does. */
export const gatewayStamp = (where: Where): string => fileStamp(fileOf(where));

/** Undefined: none is wanted. @throws Error for a file that cannot be read, or holds something else */
export function readGateway(where: Where): WantedGateway | undefined {
  if (!existsSync(fileOf(where))) return undefined;
  const { policy, logLevel, asked, metricsListen } = wantedSchema.parse(
    JSON.parse(readFileSync(fileOf(where), 'utf8')),
  );
  return { policy, logLevel, asked, ...(metricsListen !== undefined && { metricsListen }) };
}

export const writeGateway = (where: Where, wanted: WantedGateway): void =>
  replaceFile(fileOf(where), `${JSON.stringify({ version: 1, ...wanted })}\n`);

export const forgetGateway = (where: Where): void => rmSync(fileOf(where), { force: true });
