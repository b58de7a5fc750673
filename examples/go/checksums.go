package main

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// blockChecksums gives the CRC-32 of each block; the last one may be shorter.
func blockChecksums(data []byte, blockSize int) []uint32 {
	var checksums []uint32
	for at := 0; at < len(data); at += blockSize {
		checksums = append(checksums, crc32.ChecksumIEEE(data[at:min(at+blockSize, len(data))]))
	}
	return checksums
}

// digestOf gives the SHA-256 over the checksums of all blocks of a chunk.
func digestOf(checksums []uint32) []byte {
	hash := sha256.New()
	for _, checksum := range checksums {
		hash.Write(binary.BigEndian.AppendUint32(nil, checksum))
	}
	return hash.Sum(nil)
}
