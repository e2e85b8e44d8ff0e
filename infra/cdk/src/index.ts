export * from './gateway';
export * from './props';
