// `node --import ./scripts/typescript.mjs file.ts`: runs TypeScript as it is. Types are not looked at; that is what
// `npm run typecheck` is for.
import { register } from 'node:module'

register('./typescript-hooks.mjs', import.meta.url)
