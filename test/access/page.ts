// docs/access.md: a table of every method and who may call it, from the descriptors and from the comments in the .proto.
import type { DescMethod } from '@bufbuild/protobuf';
import { Role } from '@odonata/proto/auth/v1/access';
import { accessRule } from '@odonata/rpc/identity/access.ts';
import { nameOfRole } from '@odonata/rpc/identity/identity.ts';
import { PACKAGE_SERVICES, packageRule } from '@odonata/rpc/identity/package-access.ts';
import { SERVICES } from './services.ts';

const HEAD = `# Who may call what

Everyone who speaks has one role. A method without a mark for a role is refused to it with PERMISSION_DENIED, whatever way the
call comes (gRPC by TCP, a unix socket, syslink); somebody without a certificate of the cluster's authority is refused before
that. The table is made from the option \`access\` of each method in \`proto/\`, by \`REWRITE=1 npx vitest run test/access\`.

- **all**: may call it, for anybody's things. **own**: for what is theirs (their processes, virtual kernels, dataspaces;
  of a list they see that).
- \`admin\` does everything; \`operator\` sees all and ends programs, but reads nobody's memory, files or output; \`user\` works
  with what is theirs; \`viewer\` looks. The other roles are those of services.
`;

const ROLES = Object.values(Role).filter(
  (role): role is Role => typeof role === 'number' && role !== Role.UNSPECIFIED,
);

export function accessPage(): string {
  const names = ROLES.map(nameOfRole);
  const tables = SERVICES.map((service) => table(service.typeName, names, service.methods.map(rowOf)));
  const packages = PACKAGE_SERVICES.map((service) => {
    const rule = packageRule(`/${service}/`);
    return [service, ...ROLES.map((role) => (rule.roles.has(role) ? 'all' : ''))];
  });
  return [HEAD, ...tables, table('What packages serve, at every server', names, packages, 'service')].join(
    '\n',
  );
}

function rowOf(method: DescMethod): string[] {
  const { roles, owner } = accessRule(method);
  return [method.name, ...ROLES.map((role) => (roles.has(role) ? 'all' : owner.has(role) ? 'own' : ''))];
}

function table(title: string, heads: readonly string[], rows: readonly string[][], first = 'method'): string {
  const all = [[first, ...heads], ...rows];
  const widths = all[0]!.map((_, i) => Math.max(3, ...all.map((row) => row[i]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return `## ${title}\n\n${line(all[0]!)}\n${rule}\n${rows.map(line).join('\n')}\n`;
}
