/** Either end of bare unary calls over grpc-js with its defaults: what one round trip costs before any work. */
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { serve } from '../children/serve.js';
import { timed } from '../children/timed.js';

const path = '/holdfast.bench.Echo/Echo';
const asIs = (bytes: Buffer): Buffer => bytes;
const service: ServiceDefinition = {
  echo: {
    ...{ path, requestStream: false, responseStream: false },
    ...{
      requestSerialize: asIs,
      requestDeserialize: asIs,
      responseSerialize: asIs,
      responseDeserialize: asIs,
    },
  },
};
/** As long as a small metadata message. */
const payload = Buffer.alloc(64, 1);

const methods = {
  /** Answers every call with its own bytes, on a port that it resolves to. */
  async listen(): Promise<number> {
    const server = new Server();
    const echo = (call: { request: Buffer }, callback: (error: null, bytes: Buffer) => void): void =>
      callback(null, call.request);
    server.addService(service, { echo: echo as UntypedHandleCall });
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(port);
      });
    });
  },
  /** Makes calls; how long each took, in milliseconds. */
  async call(port: number, count: number, inFlight: number): Promise<Float64Array> {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    try {
      return await timed(
        count,
        inFlight,
        () =>
          new Promise((resolve, reject) => {
            client.makeUnaryRequest(path, asIs, asIs, payload, (error, bytes) => {
              if (error) reject(error);
              else if (bytes?.length === payload.length) resolve();
              else reject(new Error('the echo has another length'));
            });
          }),
      );
    } finally {
      client.close();
    }
  },
};
export type UnaryMethods = typeof methods;
serve(methods);
