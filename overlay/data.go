package overlay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store/disk"
)

// damagedSuffix is what the name of a data folder gets that was set aside.
const damagedSuffix = ".damaged"

// openDisk opens this peer's data. If its files are damaged and there are other
// peers, it sets them aside and begins with an empty disk, which is another
// voter's: the shards take it in as they would a new peer, and fill it.
func (n *Node) openDisk(ctx context.Context, others bool) error {
	dir := ""
	if n.home != nil {
		dir = n.home.Path(bootstrap.DataDir)
	}
	err := n.openData(ctx, dir)
	if errors.Is(err, disk.ErrCorrupt) && others && dir != "" {
		n.log.Warn("data is damaged, set aside to be copied from other peers", "folder", dir+damagedSuffix, "err", err)
		if err := setAside(dir); err != nil {
			return err
		}
		err = n.openData(ctx, dir)
	}
	if err != nil {
		return diskError(err)
	}
	n.self.Incarnation = n.disk.Incarnation()
	return nil
}

// openData opens a data folder, of which all that a peer starts from must be
// readable: single records need not.
func (n *Node) openData(ctx context.Context, dir string) error {
	d, err := disk.Open(ctx, dir, disk.Options{
		Engine: disk.Engine(n.cfg.Engine), Shards: n.ring.Shards, Listener: n.changes, Quota: n.cfg.Quota, Logger: n.log,
		Memory: n.cfg.memory,
	})
	if err != nil {
		return err
	}
	if err := readAhead(d); err != nil {
		return errors.Join(err, d.Close())
	}
	n.disk = d
	return nil
}

// readAhead reads what a peer needs to start.
func readAhead(d *disk.Store) error {
	if _, err := loadStates(d); err != nil {
		return err
	}
	if _, err := loadCeiling(d); err != nil {
		return err
	}
	if _, _, err := loadPositions(d); err != nil {
		return err
	}
	_, _, err := d.GetMeta(metaFounder)
	return err
}

// setAside renames a data folder. One that was set aside before must have been
// taken away: disks that are damaged again and again want somebody to look, and
// would fill up.
func setAside(dir string) error {
	aside := dir + damagedSuffix
	if _, err := os.Stat(aside); err == nil {
		return &client.Error{
			Code:    client.CodeBadHome,
			Message: fmt.Sprintf("%s is damaged, and so was %s before it", dir, aside),
			Fix:     "check the disk, move the folder " + filepath.Base(aside) + " out of the home, and start again",
		}
	}
	if err := os.Rename(dir, aside); err != nil {
		return fmt.Errorf("set damaged data aside: %w", err)
	}
	return nil
}
