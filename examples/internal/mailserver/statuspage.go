package mailserver

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/imapgate/imapgate/limits"
)

// maxRows is how many rows a table of the page has. The JSON has them all.
const maxRows = 500

// statusPage is what the template shows.
type statusPage struct {
	Time     time.Time
	Token    string // "" if sessions cannot be ended here
	Up       string
	DryRun   bool
	Gauges   []gauge
	Refusals []count
	Totals   []count
	Users    userTable
	Sessions sessionTable
}

// gauge is what is in use now, of how many.
type gauge struct {
	Name     string
	Now, Max int // Max is 0 if there is no limit
	Also     []count
}

func (g gauge) Full() bool { return g.Max > 0 && g.Now >= g.Max }

type count struct {
	Name  string
	Count uint64
}

func newStatusPage(
	now, started time.Time, o *limits.Options, stats limits.Stats, sessions []limits.SessionInfo,
) *statusPage {
	return &statusPage{
		Time:     now,
		Up:       timeText(now.Sub(started)),
		DryRun:   o.DryRun,
		Gauges:   gauges(o, stats),
		Refusals: counts(stats.Refused),
		Totals:   counts(stats.Total),
		Users:    newUserTable(sessions),
		Sessions: newSessionTable(now, sessions),
	}
}

// gauges returns the numbers of the stats that are about now. A number such as Fetches has
// MaxFetches for its limit, and FetchesWaiting beside it.
func gauges(o *limits.Options, s limits.Stats) []gauge {
	most := make(map[string]int)
	for _, limit := range limits.Declared() {
		most[limit.Option] = int(limit.Value(o))
	}
	var gauges []gauge
	stats := reflect.ValueOf(s)
	name := "\x00" // of the last gauge
	for i := range stats.NumField() {
		field := stats.Type().Field(i)
		if field.Type.Kind() != reflect.Int {
			continue
		}
		n := int(stats.Field(i).Int())
		if also, ok := strings.CutPrefix(field.Name, name); ok {
			last := &gauges[len(gauges)-1]
			last.Also = append(last.Also, count{strings.ToLower(also), uint64(n)})
			continue
		}
		name = field.Name
		gauges = append(gauges, gauge{Name: words(name), Now: n, Max: most["Max"+name]})
	}
	return gauges
}

// words returns the name of a field as people write it.
func words(name string) string {
	spaced := capital.ReplaceAllString(name, "$1 $2")
	return spaced[:1] + strings.ReplaceAll(strings.ToLower(spaced[1:]), " ip", " IP")
}

// counts returns each field of a struct of counts by its name in words.
func counts(of any) []count {
	v := reflect.ValueOf(of)
	counts := make([]count, v.NumField())
	for i := range counts {
		counts[i] = count{words(v.Type().Field(i).Name), v.Field(i).Uint()}
	}
	return counts
}

// best keeps the first of many rows in an order, however many there are.
type best[T any] struct {
	rows    []T
	compare func(a, b T) int
}

func (b *best[T]) add(row T) {
	b.rows = append(b.rows, row)
	if len(b.rows) >= 4*maxRows {
		b.cut()
	}
}

func (b *best[T]) cut() []T {
	slices.SortStableFunc(b.rows, b.compare)
	b.rows = b.rows[:min(len(b.rows), maxRows)]
	return b.rows
}

// timeText returns the duration as people say it, in its two largest units.
func timeText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", max(d, 0).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%d h %02d min", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%d d %02d h", d/day, d%day/time.Hour)
	}
}

// visible returns the name without characters that hide in a text or change its direction, and cut
// to a size. A client can send one of 50 KB.
func visible(name string) string {
	return cut(strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) && (r == ' ' || !unicode.IsSpace(r)) {
			return r
		}
		return unicode.ReplacementChar
	}, name), maxLoggedUser)
}
