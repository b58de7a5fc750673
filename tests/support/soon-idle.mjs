/**
 * Imported, also by `node --import`: connections that carried blocks are let go of a second after their last call and not a
 * minute after, so that what is open when all is quiet is soon what leaked. The least that grpc-js takes.
 */
import { dataChannelOptions } from '@holdfast/shared/grpc';

dataChannelOptions['grpc.client_idle_timeout_ms'] = 1_000;
