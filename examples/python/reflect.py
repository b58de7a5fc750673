#!/usr/bin/env python3
"""Calls a server without any stubs: it learns the contract from the server itself, by reflection.

usage: reflect.py HOST:PORT [SERVICE/METHOD JSON]
"""

import sys

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

with grpc.insecure_channel(sys.argv[1]) as channel:
    reflection = ProtoReflectionDescriptorDatabase(channel)
    if len(sys.argv) == 2:
        print("\n".join(sorted(reflection.get_services())))
    else:
        service, method = sys.argv[2].split("/")
        described = DescriptorPool(reflection).FindServiceByName(service).FindMethodByName(method)
        call = channel.unary_unary(
            f"/{service}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(described.output_type).FromString,
        )
        request = json_format.Parse(sys.argv[3], GetMessageClass(described.input_type)())
        print(json_format.MessageToJson(call(request, timeout=10)))
