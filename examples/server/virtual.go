package main

import (
	"flag"

	"github.com/imapgate/imapgate/limits"
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

func (v virtualFolders) wrap(next limits.NewSessionFunc) limits.NewSessionFunc {
	switch v {
	case selectableFolders:
		return vfolders.Wrap(next, &vfolders.Options{Mode: vfolders.Selectable})
	case noSelectFolders:
		return vfolders.Wrap(next, &vfolders.Options{Mode: vfolders.NoSelect})
	default:
		return next
	}
}
