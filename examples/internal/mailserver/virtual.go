package mailserver

import (
	"flag"

	"github.com/imapgate/imapgate/vfolders"
)

// virtualFolders says what becomes of parent folders that do not exist.
type virtualFolders int

const (
	selectableFolders virtualFolders = iota
	noSelectFolders
	noVirtualFolders
)

func (v virtualFolders) String() string { return [...]string{"selectable", "noselect", "off"}[v] }

func virtualFolderFlags(flags *flag.FlagSet, v *virtualFolders) {
	wordFlag(
		flags, v, "virtual-folders",
		"`mode` of parent folders that do not exist: selectable (as empty folders), noselect (only shown) or off",
		selectableFolders, noSelectFolders, noVirtualFolders,
	)
}

// options returns nil if there are none.
func (v virtualFolders) options() *vfolders.Options {
	switch v {
	case selectableFolders:
		return &vfolders.Options{Mode: vfolders.Selectable}
	case noSelectFolders:
		return &vfolders.Options{Mode: vfolders.NoSelect}
	default:
		return nil
	}
}
