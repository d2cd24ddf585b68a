import { isAddress, isUnix } from '@odonata/rpc/address.ts';
import { TokenSource } from '@odonata/rpc/identity/token-source.ts';
import type { Command } from 'commander';
import { adminFolder } from '../cluster/certificates.ts';
import { expectHere, runningRecord } from '../connection.ts';
import { EXIT, Failure } from '../failure.ts';
import { printJson } from '../json.ts';
import { print } from '../output.ts';
import {
  type ClusterOption,
  clusterOf,
  clusterOption,
  examples,
  jsonOption,
  quietOption,
} from './options.ts';

export function addToken(program: Command): void {
  const command = program
    .command('token')
    .summary('show who you are to a unix socket, or to a console')
    .description(
      'Prints a token for one unix socket of a service, or for the address of a console, for ten minutes: who has it is you there. For grpcurl and the like.',
    )
    .argument('<socket>', 'unix:/path, as "vkctl status --json" shows it, or http://host:port of a console')
    .addOption(clusterOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .action(token);
  examples(command, [
    ['vkctl token http://127.0.0.1:7480', 'to log in to a console again'],
    [
      'vkctl token unix:/run/user/1000/odonata-default/cohd.sock',
      'for: grpcurl -unix -H "authorization: Bearer TOKEN"',
    ],
  ]);
}

async function token(socket: string, options: ClusterOption & { json?: boolean }): Promise<void> {
  if (!(isUnix(socket) && isAddress(socket)) && !isConsole(socket))
    throw new Failure(`"${socket}" is no unix socket, and no console`, {
      fix: 'Give unix:/path, or http://host:port.',
      exitCode: EXIT.usage,
    });
  expectHere('token', options.cluster);
  const { plan } = await runningRecord(clusterOf(options));
  const folder = adminFolder(plan);
  if (folder === undefined)
    throw new Failure(`cluster "${plan.cluster}" was started with --insecure: no token is needed`);
  const { token } = new TokenSource(folder, socket);
  if (options.json) printJson({ socket, token });
  else print(token);
}

/** Its address as a browser has it, without a path. */
const isConsole = (text: string): boolean => /^https?:\/\/[A-Za-z0-9.[\]:-]{1,253}$/.test(text);
