// What vkerneld tells a virtual kernel, by the environment: ODONATA_VKERNEL_*.

import { commonConfig } from '@odonata/rpc/config.ts';
import { z } from 'zod';

export const vkernelConfig = {
  ...commonConfig,
  name: z.string().min(1).describe('its name, unique on the node'),
  token: z.string().min(1).describe('what it shows to its supervisor'),
  identity: z.string().default('').describe('what it shows to whoever it calls: whose it is, signed'),
  control: z.string().min(1).describe('address of the supervisor, as unix:/run/vkerneld.sock'),
  pmap: z.string().min(1).describe('address of the pmap manager, as unix:/run/pmapd.sock'),
  userfault: z.string().min(1).describe('path of the socket that takes its userfault descriptor'),
  node: z.string().min(1).describe('name of its node'),
  nodeIndex: z.coerce.number().int().min(0).describe('number of its node in the cluster'),
  index: z.coerce.number().int().min(0).describe('its number on the node'),
  traceSample: z.coerce.number().min(0).max(1).default(0).describe('part of its faults that is traced'),
  warmThreads: z.coerce.number().int().min(0).max(16).default(2).describe('threads that wait for programs'),
};
