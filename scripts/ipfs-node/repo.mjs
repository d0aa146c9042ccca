// Blocks in a folder, which of them stay (pins), and the removal of the rest.
import { mkdir, open, readdir, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as dagPb from '@ipld/dag-pb'
import { FsBlockstore } from 'blockstore-fs'
import { CID } from 'multiformats/cid'

export async function openRepo (folder) {
  const repo = new Repo(new FsBlockstore(join(folder, 'blocks')), join(folder, 'pins'))
  await repo.blocks.open()
  await mkdir(repo.pinFolder, { recursive: true })
  return repo
}

class Repo {
  constructor (blocks, pinFolder) {
    this.blocks = blocks
    this.pinFolder = pinFolder
    this.fetch = async cid => { throw new Error(`block ${cid} is not here`) }
    // What the exporter reads: local blocks first, then peers'.
    this.online = { get: cid => this.#stream(cid) }
    this.underWay = new Map()
    this.writers = 0
    this.collecting = null
  }

  fetchWith (fetch) {
    this.fetch = fetch
  }

  async get (cid, online = true) {
    const here = await this.#read(cid)
    if (here) return here
    if (!online) throw new Error(`block was not found locally (offline): ipld: could not find ${cid}`)
    const data = await this.fetch(cid)
    await this.put(cid, data)
    return data
  }

  // A block's bytes, undefined where it is not here. Not by `blocks.get`: that gives sixteen pieces of a leaf, and
  // what is allocated for bytes twice is collected twice, which takes longer than reading them.
  async #read (cid) {
    const { dir, file } = this.blocks.shardingStrategy.encode(cid)
    let handle
    try {
      handle = await open(join(this.blocks.path, dir, file))
      const data = Buffer.allocUnsafeSlow((await handle.stat()).size)
      const { bytesRead } = await handle.read(data, 0, data.length, 0)
      if (bytesRead !== data.length) throw new Error(`block ${cid}: got ${bytesRead} bytes, expected ${data.length}`)
      return data
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    } finally {
      await handle?.close()
    }
  }

  // Write a block once, however often the same one comes: equal blocks side by side are slow to write.
  async put (cid, data) {
    const key = digestOf(cid)
    if (!this.underWay.has(key)) {
      const write = async () => { if (!await this.blocks.has(cid)) await this.blocks.put(cid, data) }
      this.underWay.set(key, write().finally(() => this.underWay.delete(key)))
    }
    await this.underWay.get(key)
    return cid
  }

  async * #stream (cid) {
    yield await this.get(cid)
  }

  // Work that adds blocks waits while a collection runs; a collection waits for such work.
  async writing (work) {
    while (this.collecting) await this.collecting
    this.writers++
    try {
      return await work()
    } finally {
      this.writers--
    }
  }

  async pin (cid) {
    for await (const _ of this.#below(cid)) { /* every block is here now */ }
    await writeFile(join(this.pinFolder, String(cid)), '')
  }

  async unpin (cid) {
    return unlink(join(this.pinFolder, String(cid))).then(() => true, () => false)
  }

  async pins () {
    return readdir(this.pinFolder)
  }

  // Why a block may not go, which is then still here; nothing where it went.
  async remove (cid) {
    const key = digestOf(cid)
    for (const pin of await this.pins()) {
      for await (const kept of this.#below(CID.parse(pin))) {
        if (digestOf(kept) === key) return pin === String(cid) ? 'pinned: recursive' : `pinned via ${pin}: indirect`
      }
    }
    if (await this.blocks.has(cid)) await this.blocks.delete(cid)
  }

  async collect () {
    while (this.collecting || this.writers) await (this.collecting ?? new Promise(resolve => setTimeout(resolve, 5)))
    let done
    this.collecting = new Promise(resolve => { done = resolve })
    try {
      return await this.#sweep()
    } finally {
      this.collecting = null
      done()
    }
  }

  async #sweep () {
    const kept = new Set()
    for (const pin of await this.pins()) {
      for await (const cid of this.#below(CID.parse(pin))) kept.add(digestOf(cid))
    }
    const removed = []
    for await (const { cid } of this.blocks.getAll()) if (!kept.has(digestOf(cid))) removed.push(cid)
    for (const cid of removed) await this.blocks.delete(cid)
    return removed
  }

  // Every CID of a tree; blocks that are not here are fetched, some at a time.
  async * #below (root) {
    let level = [root]
    while (level.length) {
      const next = []
      for (let at = 0; at < level.length; at += 8) {
        const group = level.slice(at, at + 8)
        const links = await Promise.all(group.map(cid => this.#links(cid)))
        yield * group
        next.push(...links.flat())
      }
      level = next
    }
  }

  async #links (cid) {
    if (cid.code !== dagPb.code) {
      if (!await this.blocks.has(cid)) await this.get(cid)
      return []
    }
    return dagPb.decode(await this.get(cid)).Links.map(link => link.Hash)
  }
}

const digestOf = cid => Buffer.from(cid.multihash.bytes).toString('hex')
