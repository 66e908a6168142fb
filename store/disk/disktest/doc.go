// Package disktest harms the files of a store, for tests of what is lost with them: a bit
// that flips and an end that is cut off are what disks and file systems do.
package disktest
