// Package powerloss cuts the power of a store's disk, for its tests.
//
// A kill -9 does not test whether what was acknowledged was synced: the system
// keeps what a process wrote, also into files that it maps. So the store runs, in a
// process of its own, on a file system that this package serves over FUSE, and
// that knows of each page, length and name which of them a sync has made
// durable. Cut ends the disk: from then on it takes nothing. Restore writes down
// what a disk holds after that: what was synced, and of what was not either
// nothing, or any part of it, since disks write in the order they like.
//
// A sync of a file covers its pages, its length and the name that it was made
// with, as on ext4, XFS and Btrfs; a sync of a folder covers the names in it,
// those of new folders and renamed and removed files among them. POSIX promises
// less: that the name of a new file takes a sync of its folder, which Badger 4
// leaves out after it has written a table.
//
// The package is a module of its own, so that the product does not carry its
// dependencies, and needs Linux, /dev/fuse and the right to mount; where those
// are missing its tests are skipped and say so. Run them with make powerloss.
package powerloss
