package disk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// A log whose end is gone looks like one whose last write was torn, and an engine
// that lost tables with the end of its list of them like one that never had
// them. So commits are numbered: each writes its number with what it changes, under
// commitKey, and once it is synced the number goes into a file beside the engine.
// That file is not synced. When the process dies it names the last commit, or the one before;
// when the power is lost an earlier one; but never one that was not synced. An engine that
// ends before the commit that the file names has lost what was acknowledged.
const committedFile = "COMMITTED"

// openCommitted opens the file, or makes it.
func (d *folder) openCommitted() (err error) {
	d.committed, err = os.OpenFile(filepath.Join(d.dir, committedFile), os.O_RDWR|os.O_CREATE, 0o600)
	return err
}

// sealNumber is how the number of a commit is written, under commitKey and in the file.
func sealNumber(number uint64) []byte { return seal(binary.BigEndian.AppendUint64(nil, number)) }

// noteCommitted notes that the commit of that number, sealed, is synced.
func (d *folder) noteCommitted(number []byte) error {
	_, err := d.committed.WriteAt(number, 0)
	return err
}

// lastCommitted returns the number that was noted last: 0 if there is none, or what
// is there cannot be read and says nothing.
func (d *folder) lastCommitted() (uint64, error) {
	b, err := os.ReadFile(d.committed.Name())
	if err != nil {
		return 0, err
	}
	b, err = unseal(b)
	if err != nil || len(b) != 8 {
		return 0, nil //nolint:nilerr // it guards the engine's files, and is no part of what is kept
	}
	return binary.BigEndian.Uint64(b), nil
}

// loadCommit reads the number of the engine's last commit, and compares it with the last
// that is known to have been synced.
func (s *Store) loadCommit() (number uint64, err error) {
	b, found, err := getSealed(s.engine, commitKey)
	if err != nil {
		return 0, err
	}
	if found {
		if len(b) != 8 {
			return 0, &CorruptError{Key: commitKey, Err: fmt.Errorf("%d bytes", len(b))}
		}
		number = binary.BigEndian.Uint64(b)
	}
	if s.folder == nil {
		return number, nil
	}
	synced, err := s.folder.lastCommitted()
	if err != nil {
		return 0, err
	}
	if number < synced {
		cause := errors.New(rotten)
		return 0, fmt.Errorf("%w: the files end with commit %d, and commit %d was synced: %w", ErrCorrupt, number, synced, cause)
	}
	return number, nil
}
