import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, it } from 'vitest';
import { onEachNode, tellEachNode } from './on-each-node.ts';

const nodes = ['node1', 'node2', 'node3'];
const away = new RpcError(Code.Unavailable, 'node2/vkerneld is not connected');
const none = (node: string) => new RpcError(Code.NotFound, `no such thing on ${node}`);
const but =
  (errors: Record<string, RpcError>) =>
  async (node: string): Promise<string> => {
    if (errors[node] !== undefined) throw errors[node];
    return node.toUpperCase();
  };

it('who is away keeps nobody else from it, and is told of', async () => {
  expect(await onEachNode(nodes, but({}))).toEqual(['NODE1', 'NODE2', 'NODE3']);
  const asked: string[] = [];
  const ask = but({ node2: away });
  const said = onEachNode(nodes, (node) => {
    asked.push(node);
    return ask(node);
  });
  await expect(said).rejects.toMatchObject({
    code: Code.Unavailable,
    details:
      'node2/vkerneld is not connected; it counts on node1, node3, and not on node2: say it again for those (--node node2) when they are back',
  });
  expect(asked).toEqual(nodes);
});

it('what some have is done there, and what none has is told', async () => {
  expect(await onEachNode(nodes, but({ node1: none('node1') }))).toEqual(['NODE2', 'NODE3']);
  const all = Object.fromEntries(nodes.map((node) => [node, none(node)]));
  await expect(onEachNode(nodes, but(all))).rejects.toThrow('no such thing on node3');
  await expect(onEachNode(nodes, but({ ...all, node2: away }))).rejects.toBe(away);
});

it('what is kept reaches who is away later, and what is not is told as ever', async () => {
  const kept: string[][] = [];
  const keep = async (names: string[]) => kept.push(names) > 0;
  const one = but({ node1: none('node1'), node2: away });
  expect(await tellEachNode({ names: nodes }, one, keep)).toEqual({ answers: ['NODE3'], away: ['node2'] });
  expect(await tellEachNode({ names: ['node2'] }, one, keep)).toEqual({ answers: [], away: ['node2'] });
  await expect(tellEachNode({ names: ['node1'], away: new Set(['node3']) }, one, keep)).rejects.toThrow(
    'no such thing on node1',
  );
  await expect(tellEachNode({ names: nodes }, one, async () => false)).rejects.toThrow('and not on node2');
  const refused = new RpcError(Code.PermissionDenied, 'no');
  await expect(tellEachNode({ names: nodes }, but({ node2: refused }), keep)).rejects.toThrow(
    'no; it counts on node1',
  );
  expect(kept).toEqual([['node2'], ['node2']]);
  const full = () => Promise.reject(new RpcError(Code.ResourceExhausted, 'full'));
  await expect(tellEachNode({ names: nodes }, one, full)).rejects.toThrow(
    'full; it counts on node3, and is not kept for nodes that are away or come later',
  );
});
