// What a node and the home of a dataspace say to each other, as messages and back.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  DeskAnswer,
  DeskAnswerSchema,
  DeskAsk,
  DeskAskSchema,
  DeskWords,
  DeskWordsSchema,
} from '@odonata/proto/coherency/v1/coherency';
import type { FromHome, ToHome } from './far-desk.ts';

export type DeskAskInit = NonNullable<MessageInitShape<typeof DeskAskSchema>['ask']>;
export type DeskAnswerInit = NonNullable<MessageInitShape<typeof DeskAnswerSchema>['answer']>;
export type DeskWordsInit = MessageInitShape<typeof DeskWordsSchema>;

export const toHomeWire = ({
  first,
  asks,
  taken,
  session,
  home,
  sentMs,
}: ToHome<DeskAskInit>): DeskWordsInit => ({
  ...{ session, home, first: BigInt(first), taken: BigInt(taken), sentMs: BigInt(sentMs) },
  asks: asks.map((ask) => ({ ask })),
});

export const toHomeFrom = ({
  session,
  home,
  first,
  asks,
  taken,
  sentMs,
}: DeskWords): ToHome<DeskAsk['ask']> => ({
  ...{ session, home, first: Number(first), taken: Number(taken), sentMs: Number(sentMs) },
  asks: asks.map(({ ask }) => ask),
});

export const fromHomeWire = ({ answers, ...about }: FromHome<DeskAnswerInit>): DeskWordsInit => ({
  ...{ session: about.session, home: about.home, first: BigInt(about.first), taken: BigInt(about.taken) },
  ...{ sentMs: BigInt(about.sentMs), leaseMs: about.leaseMs, over: about.over },
  answers: answers.map((answer) => ({ answer })),
});

export const fromHomeFrom = ({
  first,
  answers,
  taken,
  sentMs,
  ...about
}: DeskWords): FromHome<DeskAnswer['answer']> => ({
  ...{ session: about.session, home: about.home, leaseMs: about.leaseMs, over: about.over },
  ...{ first: Number(first), taken: Number(taken), sentMs: Number(sentMs) },
  answers: answers.map(({ answer }) => answer),
});
