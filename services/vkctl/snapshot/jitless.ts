// Schemas are to check without code that is made for each of them: a command reads one record, and would wait longer for that.
import { config } from 'zod';

config({ jitless: true });
