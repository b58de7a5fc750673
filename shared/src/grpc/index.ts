/** Channels, calls, servers, errors and messages over grpc-js. */
export { blockSerializer } from './block-frames.js';
export * from './call.js';
export * from './channel.js';
export * from './error-details.js';
export { cutOff } from './insides.js';
export * from './messages.js';
export * from './server.js';
