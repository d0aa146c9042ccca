// The node's place among others: one key, TCP with Noise and Yamux, bitswap with whoever is connected.
import { readFile, writeFile } from 'node:fs/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { createBitswap } from '@helia/bitswap'
import { generateKeyPair, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { sha256 } from 'multiformats/hashes/sha2'

const FETCH_MS = 30_000

async function identity (path) {
  try {
    return privateKeyFromProtobuf(await readFile(path))
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  const key = await generateKeyPair('Ed25519')
  await writeFile(path, privateKeyToProtobuf(key), { mode: 0o600, flag: 'wx' })
  return key
}

export async function openSwarm (keyPath, blockstore, port) {
  const libp2p = await createLibp2p({
    privateKey: await identity(keyPath),
    addresses: { listen: [`/ip4/127.0.0.1/tcp/${port}`] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // A peer that is too busy to answer a ping is no reason to leave it.
    connectionMonitor: { enabled: false },
    services: { identify: identify() }
  })
  const bitswap = createBitswap({
    libp2p,
    blockstore,
    logger: libp2p.logger,
    // No routing: blocks come from peers that were connected on purpose.
    routing: { async * findProviders () {}, async findAndConnect () {} },
    getHasher: async code => {
      if (code !== sha256.code) throw new Error(`hash ${code} is not supported, expected sha2-256`)
      return sha256
    }
  }, { incomingStreamTimeout: FETCH_MS, messageSendTimeout: FETCH_MS, messageReceiveTimeout: FETCH_MS, sendBlocksTimeout: FETCH_MS })
  const wanted = []
  const connect = async address => {
    await libp2p.dial(address)
    if (!wanted.some(known => known.equals(address))) wanted.push(address)
  }
  await bitswap.start()
  return {
    id: libp2p.peerId.toString(),
    addresses: () => libp2p.getMultiaddrs().map(String),
    peers: () => libp2p.getPeers().map(String),
    connect,
    fetch: async cid => {
      if (libp2p.getPeers().length === 0) await Promise.allSettled(wanted.map(connect))
      if (libp2p.getPeers().length === 0) throw new Error(`block ${cid} is not here and no peer is connected`)
      return bitswap.want(cid, { signal: AbortSignal.timeout(FETCH_MS) })
    },
    stop: async () => {
      await bitswap.stop()
      await libp2p.stop()
    }
  }
}
