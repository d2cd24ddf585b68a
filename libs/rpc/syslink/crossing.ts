// What may go from one cluster to another: programs that connect by a name, and what people serve by names themselves. Nothing of the
// cluster's own services does.
import { PeerService } from '@odonata/proto/vkernel/v1/peer';
import { methodPath } from '../service.ts';

/** Connects programs by a name. */
export const CONNECT = methodPath(PeerService.method.connect);

const METHOD = /^\/(?!odonata\.|grpc\.)[A-Za-z][A-Za-z0-9_.]{0,199}\/[A-Za-z][A-Za-z0-9_]{0,63}$/;

/** @param method its full name: /package.Service/Method */
export const mayCross = (method: string): boolean => method === CONNECT || METHOD.test(method);

/** A name of another cluster: NAME@CLUSTER. */
export const isForeign = (name: string): boolean => name.includes('@');
