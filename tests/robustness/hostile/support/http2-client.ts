/** One gRPC call by node:http2, with any headers and any bytes. */
import { type IncomingHttpHeaders, connect } from 'node:http2';
import { Metadata } from '@grpc/grpc-js';
import { detailOf } from './raw-calls.js';

export interface RawAnswer {
  /** gRPC's number; "http N" where only HTTP answered, "reset N" where the call was cut, "silence". */
  readonly status: string;
  readonly detail: { readonly message: string; readonly remedy: string } | undefined;
}

export function readRaw(
  address: string,
  headers: readonly (readonly [string, string])[],
  data: Buffer,
  withinMs: number,
): Promise<RawAnswer> {
  const session = connect(`http://${address}`);
  session.on('error', () => undefined);
  return new Promise<RawAnswer>((resolve) => {
    const timer = setTimeout(() => resolve({ status: 'silence', detail: undefined }), withinMs);
    const stream = session.request(Object.fromEntries(headers));
    const take = (said: IncomingHttpHeaders): void => {
      const status = said['grpc-status'];
      if (status === undefined) return;
      const packed = said['grpc-status-details-bin'];
      const metadata = new Metadata();
      if (typeof packed === 'string') metadata.set('grpc-status-details-bin', Buffer.from(packed, 'base64'));
      resolve({ status: status.toString(), detail: detailOf(metadata) });
    };
    stream.on('response', (said) => {
      take(said);
      if (said[':status'] !== 200) resolve({ status: `http ${said[':status']}`, detail: undefined });
    });
    stream.on('trailers', take);
    stream.on('error', () => undefined);
    stream.on('close', () => {
      clearTimeout(timer);
      resolve({ status: `reset ${stream.rstCode}`, detail: undefined });
    });
    stream.resume();
    stream.end(data);
  }).finally(() => session.destroy());
}
