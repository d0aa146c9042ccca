// A compiler that stays: one request a line on stdin, one answer a line on stdout. For scripts/mutate, which compiles
// the same contracts a thousand times over and would wait for the compiler's own start each time.
// usage: node scripts/_compile_server.js FOLDER     requests: {overlay: {path: text}, targets: [path], settings: {...}}
'use strict'
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')

const root = process.argv[2]
const solc = require(path.join(root, 'node_modules', 'solc'))
const kept = new Map()

const read = (overlay, name) => {
  if (name in overlay) return overlay[name]
  if (!kept.has(name)) kept.set(name, fs.readFileSync(path.join(root, name), 'utf8'))
  return kept.get(name)
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { overlay, targets, settings } = JSON.parse(line)
  const sources = Object.fromEntries(targets.map((name) => [name, { content: read(overlay, name) }]))
  const importer = (name) => {
    try {
      return { contents: read(overlay, name) }
    } catch (reason) {
      return { error: String(reason) }
    }
  }
  const input = JSON.stringify({ language: 'Solidity', sources, settings })
  process.stdout.write(JSON.stringify(JSON.parse(solc.compile(input, { import: importer }))) + '\n')
})
