// Package disk keeps one peer's records, registers and few values of its own on
// disk, behind go-datastore.
//
// It owns the folder, the layout of its keys, and when things are written. It
// does not own what a record or a register means (package store does), nor which
// shards a peer should hold: it stores what it is handed if that is newer than
// what it has, and tells which it was.
//
//	s, err := disk.Open(ctx, dir, disk.Options{})
//	shard := store.Shard(record.Position, s.Shards())
//	outcome, err := s.Apply(ctx, shard, record.AppendTo(nil)) // synced
//	record, found, err := s.Get(shard, "photos", "7")
//	err = s.Close()
//
// # Writing
//
// One goroutine, the committer, writes. Whatever has been queued when it comes
// back from the disk becomes one transaction with one sync, so a lone write waits
// for nobody and many share the cost. Versions are compared there, with what is
// on disk and with each other. Nothing is answered before it is synced. The
// queue keeps its order: what was queued first is on disk first, or in the same
// instant, whatever its kind; Queue and QueueRegister take a place in it without
// blocking.
//
// A register (package store) answers in the committer too, by what is on disk then. What
// it accepted is a record; what it only promised lies beside that, and goes when
// something is accepted at that ballot or above, or the shard is dropped.
//
// When a commit fails nobody in its group is told otherwise, reads go on, and
// the next write opens the engine anew before it tries: an engine that failed
// half-way does not know its own files any more. Writes are refused with ErrFull
// while less than Options.Reserve is free, since engines that run out of space
// in the middle of their own work stop the process.
//
// Files whose end was cut off look like those of a process that died while it
// wrote. They are told from them by the number of the last commit that is known
// to have been synced, which lies beside the engine's files (COMMITTED): Open
// returns ErrCorrupt.
//
// Package powerloss, in a folder and a module of its own, takes the power away
// under a store and looks whether what was answered is there.
//
// # Engines
//
// Badger4 is the default. It runs without compactors, which poll, until there are
// tables to compact; then it is opened anew, once, to get them, and reads and
// writes wait some 50 ms. On Linux its log is synced here, because Badger syncs
// two files for each commit of which one is always empty; and so is the name of a
// new log, which Badger does not sync. Logs of no length, which the loss of power
// leaves and at which Badger would not open, are removed.
//
// Badger 4 writes by way of memory that is mapped from files with holes: a file
// system that fills up by another's hand while it compacts, faster than Reserve
// foresees, ends the process with SIGBUS. Nothing acknowledged is lost by that,
// and the next Open says ErrFull until there is space.
//
// Badger is Badger 1.6, by choice only: its asserts call log.Fatal, and those
// remain that concern its own tables (an impossible order of keys in a table or a
// level, a log file that cannot be removed). What is known to trip others is
// taken care of: a torn tail opens (Truncate), a failed write, after which it
// would write at the wrong place, leads to a new opening, and the copy of
// everything that its value log keeps is collected by the amount written.
//
// Memory is the twin of both for tests and simulations.
//
// # Corruption
//
// A record carries its checksum, and so do the values beside the records. A
// record that fails is a CorruptError with its key from View, is listed by Scan,
// and gives way to any good copy that is applied, which may be older: Damage counts how
// often one was met, for those who rely on nothing being lost. Tables and logs are verified
// before an engine opens them (verify.go says why): one that is damaged, other
// than by a torn tail, keeps the store from opening, with ErrCorrupt. What that
// cannot tell is damage to the very last transaction of a log from a torn tail,
// and, of Badger 1.6, damage to log files before the newest.
//
// # Goroutines
//
// All methods may be called from any goroutine, and from many. A function handed
// to View runs while the engine is held open, and must not call the Store.
package disk
