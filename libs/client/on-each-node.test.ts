import { Code, RpcError } from '@odonata/rpc/error.ts';
import { expect, it } from 'vitest';
import { onEachNode } from './on-each-node.ts';

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
