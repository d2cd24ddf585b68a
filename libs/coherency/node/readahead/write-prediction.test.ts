import { expect, test } from 'vitest';
import { WritePrediction } from './write-prediction.ts';

const readThenWrite = (prediction: WritePrediction, page: number) => {
  prediction.read(page);
  prediction.upgraded(page);
  prediction.gone(page, 1);
};

test('a page that was read and then written twice is expected to be written again', () => {
  const prediction = new WritePrediction();
  readThenWrite(prediction, 3);
  expect(prediction.expects(3)).toBe(false);
  readThenWrite(prediction, 3);
  expect(prediction.expects(3)).toBe(true);
  expect(prediction.expects(4)).toBe(false);
});

test('a page that was only read is not', () => {
  const prediction = new WritePrediction();
  readThenWrite(prediction, 3);
  readThenWrite(prediction, 3);
  prediction.read(3);
  prediction.gone(3, 1);
  expect(prediction.expects(3)).toBe(false);
});

test('now and then a prediction is put to the test', () => {
  const prediction = new WritePrediction();
  readThenWrite(prediction, 3);
  readThenWrite(prediction, 3);
  const expected = Array.from({ length: 16 }, () => prediction.expects(3));
  expect(expected.filter((e) => !e)).toHaveLength(2);
});
