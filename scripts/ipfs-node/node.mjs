// An IPFS node: blocks in a folder, bitswap over TCP, and the part of kubo's RPC API that Cloister uses.
// usage: node node.mjs REPO [--api-port N] [--swarm-port N]   (0, the default, takes any free port)
// Once ready it prints one line of JSON with its addresses. Both ports listen on 127.0.0.1 alone.
import './node20.mjs'
import { createHash } from 'node:crypto'
import { once, setMaxListeners } from 'node:events'
import { mkdir } from 'node:fs/promises'
import http from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import busboy from 'busboy'
import * as dagPb from '@ipld/dag-pb'
import { exporter } from 'ipfs-unixfs-exporter'
import { importByteStream } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'
import { multiaddr } from '@multiformats/multiaddr'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import * as Digest from 'multiformats/hashes/digest'
import { openSwarm } from './swarm.mjs'
import { openRepo } from './repo.mjs'

const MAX_BLOCK_BYTES = 2 << 20 // as bitswap: no peer would take a longer one
const CODECS = { raw: raw.code, 'dag-pb': dagPb.code }

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'api-port': { type: 'string', default: '0' }, 'swarm-port': { type: 'string', default: '0' } }
})
if (positionals.length !== 1) {
  console.error('usage: node node.mjs REPO [--api-port N] [--swarm-port N]')
  process.exit(2)
}
await mkdir(positionals[0], { recursive: true, mode: 0o700 })
const repo = await openRepo(positionals[0])
const swarm = await openSwarm(join(positionals[0], 'identity'), repo.blocks, +options['swarm-port'])
repo.fetchWith(cid => swarm.fetch(cid))

class Refused extends Error {}

const cidOf = text => {
  try {
    return CID.parse((text ?? '').replace(/^\/ipfs\//, ''))
  } catch (error) {
    throw new Refused(`invalid path "${text}": ${error.message}`)
  }
}

function numberOf (text, fallback) {
  if (text === null) return fallback
  if (!/^\d{1,15}$/.test(text)) throw new Refused(`got "${text}", expected a number`)
  return +text
}

// Give each uploaded file to `take` as a stream, one after the other, and what that returns to `give`.
async function eachFile (request, take, give) {
  const form = busboy({ headers: request.headers, preservePath: true })
  let chain = Promise.resolve()
  let failed
  form.on('file', (field, stream, info) => {
    stream.on('error', () => {})
    chain = chain.then(() => take(stream, info).then(give)).catch(error => {
      failed ??= error
      stream.resume()
    })
  })
  request.pipe(form)
  await once(form, 'close')
  await chain
  if (failed) throw failed
}

// Uploaded bytes pass through the same few buffers. New ones for each block would make V8 collect garbage after
// every 64 MiB, and the collections would take longer than the blocks.
const spare = []

async function withWhole (stream, work) {
  const buffer = spare.pop() ?? Buffer.allocUnsafeSlow(MAX_BLOCK_BYTES)
  try {
    let size = 0
    for await (const part of stream) {
      if (size + part.length <= MAX_BLOCK_BYTES) buffer.set(part, size)
      size += part.length
    }
    if (size > MAX_BLOCK_BYTES) throw new Refused(`block: got ${size} bytes, expected at most ${MAX_BLOCK_BYTES}`)
    return await work(buffer.subarray(0, size))
  } finally {
    if (spare.length < 8) spare.push(buffer)
  }
}

const line = (response, value) => response.write(JSON.stringify(value) + '\n')

const commands = {
  async version (query, request, response) {
    line(response, { Version: '0.7.0', Commit: 'cloister-ipfs-node', Repo: '1', System: process.platform, Golang: '' })
  },
  async id (query, request, response) {
    line(response, { ID: swarm.id, Addresses: swarm.addresses(), AgentVersion: 'cloister-ipfs-node', ProtocolVersion: 'ipfs/0.1.0' })
  },
  async 'swarm/connect' (query, request, response) {
    await swarm.connect(multiaddr(query.get('arg')))
    line(response, { Strings: [`connect ${query.get('arg')} success`] })
  },
  async 'swarm/peers' (query, request, response) {
    line(response, { Peers: swarm.peers().map(peer => ({ Peer: peer })) })
  },
  async add (query, request, response) {
    const chunker = /^size-(\d{1,7})$/.exec(query.get('chunker') ?? 'size-262144')
    if (!chunker) throw new Refused(`chunker: got "${query.get('chunker')}", expected size-BYTES`)
    const version = numberOf(query.get('cid-version'), 0)
    const settings = {
      cidVersion: version,
      rawLeaves: (query.get('raw-leaves') ?? String(version === 1)) === 'true',
      chunker: fixedSize({ chunkSize: +chunker[1] }),
      layout: balanced({ maxChildrenPerNode: numberOf(query.get('max-file-links'), 174) }),
      leafType: 'file'
    }
    await eachFile(request, (stream, info) => repo.writing(async () => {
      const added = await importByteStream(stream, repo, settings)
      if (query.get('pin') !== 'false') await repo.pin(added.cid)
      return { Name: info.filename || String(added.cid), Hash: String(added.cid), Size: String(added.size) }
    }), value => line(response, value))
  },
  async cat (query, request, response) {
    const offset = numberOf(query.get('offset'), 0)
    const length = numberOf(query.get('length'), undefined)
    const entry = await exporter(cidOf(query.get('arg')), repo.online)
    if (entry.type !== 'file' && entry.type !== 'raw') throw new Refused('this dag node is a directory')
    const size = Number(entry.type === 'raw' ? entry.node.length : entry.unixfs.fileSize())
    const wanted = Math.max(0, Math.min(length ?? size, size - offset))
    response.setHeader('content-type', 'text/plain')
    response.setHeader('x-content-length', String(wanted))
    if (wanted === 0) return
    const gone = new AbortController()
    setMaxListeners(0, gone.signal)
    response.once('close', () => gone.abort())
    for await (const piece of entry.content({ offset, length: wanted, blockReadConcurrency: 8 })) {
      if (!response.write(piece)) await once(response, 'drain', { signal: gone.signal })
    }
  },
  async 'block/put' (query, request, response) {
    const code = CODECS[query.get('cid-codec') ?? 'raw']
    if (code === undefined || (query.get('mhtype') ?? 'sha2-256') !== 'sha2-256') {
      throw new Refused('block: got another codec or hash, expected raw or dag-pb with sha2-256')
    }
    await eachFile(request, stream => repo.writing(() => withWhole(stream, async data => {
      const cid = CID.createV1(code, Digest.create(0x12, createHash('sha256').update(data).digest()))
      await repo.put(cid, data)
      if (query.get('pin') === 'true') await repo.pin(cid)
      return { Key: String(cid), Size: data.length }
    })), value => line(response, value))
  },
  async 'block/get' (query, request, response) {
    response.end(await repo.get(cidOf(query.get('arg')), query.get('offline') !== 'true'))
  },
  async 'block/stat' (query, request, response) {
    const cid = cidOf(query.get('arg'))
    line(response, { Key: String(cid), Size: (await repo.get(cid, query.get('offline') !== 'true')).length })
  },
  async 'block/rm' (query, request, response) {
    for (const cid of query.getAll('arg').map(cidOf)) {
      const why = await repo.remove(cid)
      line(response, why ? { Hash: String(cid), Error: why } : { Hash: String(cid) })
    }
  },
  async 'pin/add' (query, request, response) {
    const cids = query.getAll('arg').map(cidOf)
    for (const cid of cids) await repo.writing(() => repo.pin(cid))
    line(response, { Pins: cids.map(String) })
  },
  async 'pin/rm' (query, request, response) {
    const cids = query.getAll('arg').map(cidOf)
    for (const cid of cids) if (!await repo.unpin(cid)) throw new Refused('not pinned or pinned indirectly')
    line(response, { Pins: cids.map(String) })
  },
  async 'pin/ls' (query, request, response) {
    const asked = query.getAll('arg').map(text => String(cidOf(text)))
    const pinned = await repo.pins()
    const absent = asked.find(cid => !pinned.includes(cid))
    if (absent) throw new Refused(`path '${absent}' is not pinned`)
    const shown = asked.length ? asked : pinned
    line(response, { Keys: Object.fromEntries(shown.map(cid => [cid, { Type: 'recursive' }])) })
  },
  async 'repo/gc' (query, request, response) {
    for (const cid of await repo.collect()) line(response, { Key: { '/': String(cid) } })
  }
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, 'http://node')
  const command = commands[url.pathname.replace(/^\/api\/v0\//, '')]
  const refuse = (status, text) => { response.statusCode = status; response.end(text + '\n') }
  // As kubo does: a page in somebody's browser must not drive the node.
  if (request.headers.origin || request.headers.referer) return refuse(403, '403 - Forbidden')
  if (request.method !== 'POST') return refuse(405, '405 - Method Not Allowed')
  if (!command || !Object.hasOwn(commands, url.pathname.slice(8))) return refuse(404, '404 page not found')
  response.setHeader('content-type', 'application/json')
  try {
    await command(url.searchParams, request, response)
    response.end()
  } catch (error) {
    request.resume()
    if (response.headersSent) return response.destroy()
    response.statusCode = 500
    response.end(JSON.stringify({ Message: String(error.message), Code: 0, Type: 'error' }) + '\n')
  }
})
server.requestTimeout = 0 // an upload may take hours
server.listen(+options['api-port'], '127.0.0.1')
await once(server, 'listening')
console.log(JSON.stringify({ api: `http://127.0.0.1:${server.address().port}`, swarm: swarm.addresses() }))

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    server.close()
    server.closeAllConnections()
    await swarm.stop()
    process.exit(0)
  })
}
