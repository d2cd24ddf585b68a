// Who asks, as it goes with a request: what the router knows of them, and not what they say.
import { create } from '@bufbuild/protobuf';
import { type Caller, CallerSchema } from '@odonata/proto/auth/v1/access';
import type { Endpoint } from './registry.ts';

export function callerOf({ caller: { role, name, groups } }: Endpoint): Caller {
  return create(CallerSchema, { role, name, groups: [...groups] });
}
