package limits_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/readme"
	"github.com/imapgate/imapgate/limits"
)

// The README's table has each field of Options, with its default and its answer.
func TestReadmeHasEverySetting(t *testing.T) {
	rows := readme.CheckSettings(t, "README.md", limits.Options{})
	for _, setting := range limits.Declared() {
		row := rows[setting.Option]
		if !assert.Len(t, row, 3, setting.Option) {
			continue
		}
		assert.Contains(t, defaults(setting), row[1], "the default of %s", setting.Option)
		assert.Contains(t, row[2], setting.Answer, "the answer of %s", setting.Option)
		if setting.Answer == "" {
			assert.NotContains(t, row[2], "NO [", "%s has no answer of its own", setting.Option)
		}
	}
}

// defaults returns the ways in which a default may be written.
func defaults(setting limits.Declaration) []string {
	switch {
	case setting.Default == 0:
		return []string{"no limit", "off"}
	case setting.Time && time.Duration(setting.Default)%time.Minute == 0:
		return []string{fmt.Sprintf("%d min", time.Duration(setting.Default)/time.Minute)}
	case setting.Time:
		return []string{fmt.Sprintf("%d s", time.Duration(setting.Default)/time.Second)}
	default:
		return []string{number(setting.Default), size(setting.Default)}
	}
}

// number writes a number with a comma for the thousands.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func size(n int64) string {
	for _, unit := range []string{"KiB", "MiB", "GiB"} {
		if n /= 1024; n > 0 && n < 1024 {
			return fmt.Sprintf("%d %s", n, unit)
		}
	}
	return strings.Repeat("?", 3)
}

// The table that compares other servers' settings with ours names only settings that exist.
func TestReadmeComparesWithSettingsThatExist(t *testing.T) {
	settings := readme.Rows(t, "README.md", "Setting")
	servers := make(map[string]int)
	for _, row := range readme.Table(t, "README.md", "Server") {
		servers[row[0]]++
		for _, name := range readme.Names(row[2]) {
			if strings.HasPrefix(name, "Max") || strings.HasSuffix(name, "Timeout") || name == "Exempt" {
				assert.Contains(t, settings, name)
			}
		}
	}
	for _, server := range []string{"VPOP3", "Dovecot", "Cyrus", "Courier", "James", "Stalwart"} {
		assert.GreaterOrEqual(t, servers[server], 4, server)
	}
}
