#include "storage/database.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <thread>

#include "base/bytes.h"
#include "base/temporary_folder.h"

namespace verge::storage {
namespace {

namespace fs = std::filesystem;

const std::vector<Migration> kSchema{
    {"devices",
     "CREATE TABLE devices (id TEXT PRIMARY KEY, seen INTEGER, score REAL, note TEXT); CREATE INDEX s ON "
     "devices (seen);"},
    {"modules", "CREATE TABLE modules (device TEXT REFERENCES devices (id), name TEXT NOT NULL)"},
};

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("verge-database-" + to_hex(random_bytes(6)));
    path_ = folder_ / "deep" / "hub.db";
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::unique_ptr<Database> opened() {
    auto database = Database::open(path_, kSchema);
    EXPECT_TRUE(database) << database.error().message;
    return database ? *std::move(database) : nullptr;
  }
  static std::int64_t count(Database& database) {
    return (*database.query_one("SELECT COUNT(*) FROM devices"))->integer(0);
  }

  fs::path folder_, path_;
};

TEST_F(DatabaseTest, ValuesComeBackAsTheyWere) {
  const auto database = opened();
  const std::string odd("a\0b'\xC3\xA9", 6);
  EXPECT_EQ(
      database->execute("INSERT INTO devices VALUES (?, ?, ?, ?)", {odd, std::int64_t{-7}, 0.25, nullptr}).value(), 1);
  const auto row = database->query_one("SELECT id, seen, score, note FROM devices WHERE id = ?", {odd});
  ASSERT_TRUE(row && *row);
  EXPECT_EQ((*row)->text(0), odd);
  EXPECT_EQ((*row)->integer(1), -7);
  EXPECT_EQ((*row)->real(2), 0.25);
  EXPECT_TRUE((*row)->is_null(3));
  EXPECT_FALSE((*row)->is_null(0));
  EXPECT_EQ((*row)->text(3), "");
  EXPECT_EQ((*row)->integer(3), 0);
  EXPECT_EQ((*row)->text(1), "-7");
  EXPECT_EQ((*row)->real(1), -7);
  EXPECT_FALSE(*database->query_one("SELECT id FROM devices WHERE id = 'other'"));
  EXPECT_TRUE(database->query("SELECT id FROM devices WHERE id = 'other'")->empty());
}

TEST_F(DatabaseTest, ChangesAreCounted) {
  const auto database = opened();
  for (const char* id : {"a", "b", "c"})
    EXPECT_EQ(database->execute("INSERT INTO devices (id) VALUES (?)", {id}).value(), 1);
  EXPECT_EQ(database->execute("UPDATE devices SET seen = 1 WHERE id > 'a'").value(), 2);
  EXPECT_EQ(database->execute("SELECT 1").value(), 0);
  EXPECT_EQ(database->execute("DELETE FROM devices;").value(), 3);
}

TEST_F(DatabaseTest, ErrorsSayWhatTheCallerCanDo) {
  const auto database = opened();
  ASSERT_TRUE(database->execute("INSERT INTO devices (id) VALUES ('a')"));
  struct Row {
    std::string behaviour, sql;
    std::vector<Value> parameters;
    ErrorCode code;
  };
  const Row rows[] = {
      {"a key twice", "INSERT INTO devices (id) VALUES ('a')", {}, ErrorCode::conflict},
      {"a missing parent", "INSERT INTO modules VALUES ('nobody', 'm')", {}, ErrorCode::conflict},
      {"a missing value", "INSERT INTO modules VALUES ('a', NULL)", {}, ErrorCode::conflict},
      {"no SQL", "INSERT FLAWED", {}, ErrorCode::invalid_argument},
      {"an unknown table", "SELECT * FROM nothing", {}, ErrorCode::invalid_argument},
      {"two statements", "SELECT 1; SELECT 2", {}, ErrorCode::invalid_argument},
      {"nothing", "", {}, ErrorCode::invalid_argument},
      {"too few parameters", "SELECT ?", {}, ErrorCode::invalid_argument},
      {"too many parameters", "SELECT ?", {"a", "b"}, ErrorCode::invalid_argument},
  };
  for (const Row& row : rows) {
    const auto result = database->execute(row.sql, row.parameters);
    ASSERT_FALSE(result) << row.behaviour;
    EXPECT_EQ(result.error().code, row.code) << row.behaviour << ": " << result.error().message;
  }
  EXPECT_EQ(count(*database), 1);
  // A full disk, as SQLite sees it.
  ASSERT_TRUE(database->query("PRAGMA max_page_count = 12"));
  const auto full = database->execute("INSERT INTO devices (id, note) VALUES ('big', ?)", {std::string(200'000, 'x')});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ErrorCode::unavailable) << full.error().message;
  ASSERT_TRUE(database->query("PRAGMA max_page_count = 100000"));
  EXPECT_TRUE(database->execute("INSERT INTO devices (id, note) VALUES ('big', ?)", {std::string(200'000, 'x')}));
}

TEST_F(DatabaseTest, TransactionsAreAllOrNothing) {
  const auto database = opened();
  const auto insert = [&](const char* id) -> Status {
    VERGE_CHECK(database->execute("INSERT INTO devices (id) VALUES (?)", {id}));
    return Done{};
  };
  EXPECT_TRUE(database->transaction([&]() -> Status {
    VERGE_CHECK(insert("a"));
    return insert("b");
  }));
  EXPECT_EQ(count(*database), 2);
  const auto failed = database->transaction([&]() -> Status {
    VERGE_CHECK(insert("c"));
    return insert("a");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::conflict);
  EXPECT_EQ(count(*database), 2);
  const auto refused = database->transaction([&]() -> Status {
    VERGE_CHECK(insert("d"));
    return Error{ErrorCode::not_found, "the body's own reason"};
  });
  EXPECT_EQ(refused.error().message, "the body's own reason");
  EXPECT_EQ(count(*database), 2);
  EXPECT_TRUE(database->transaction([&] { return insert("e"); })) << "and goes on";
}

TEST_F(DatabaseTest, SurvivesAReopeningAndGrows) {
  { ASSERT_TRUE(opened()->execute("INSERT INTO devices (id) VALUES ('a')")); }
  EXPECT_EQ(count(*opened()), 1);
  auto grown = kSchema;
  grown.push_back({"tags", "ALTER TABLE devices ADD COLUMN tags TEXT"});
  {
    const auto database = Database::open(path_, grown);
    ASSERT_TRUE(database) << database.error().message;
    EXPECT_TRUE((*database)->execute("UPDATE devices SET tags = 'x'"));
  }
  // The older program must not touch what it does not understand.
  const auto older = Database::open(path_, kSchema);
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().code, ErrorCode::conflict);
  EXPECT_NE(older.error().message.find("tags"), std::string::npos);
  // A step that fails leaves no trace.
  auto broken = grown;
  broken.push_back({"broken", "CREATE TABLE extra (x); CREATE FLAWED"});
  const auto failed = Database::open(path_, broken);
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("broken"), std::string::npos);
  const auto again = Database::open(path_, grown);
  ASSERT_TRUE(again);
  EXPECT_FALSE((*again)->query("SELECT * FROM extra"));
}

TEST_F(DatabaseTest, IsDurableAndPrivate) {
  const auto database = opened();
  EXPECT_EQ((*database->query_one("PRAGMA journal_mode"))->text(0), "wal");
  EXPECT_EQ((*database->query_one("PRAGMA synchronous"))->integer(0), 2);  // FULL
  EXPECT_EQ((*database->query_one("PRAGMA foreign_keys"))->integer(0), 1);
  ASSERT_TRUE(database->execute("INSERT INTO devices (id) VALUES ('a')"));
  for (const auto& entry : fs::directory_iterator(path_.parent_path())) {
    EXPECT_EQ(entry.status().permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write) << entry;
  }
}

TEST_F(DatabaseTest, DamageIsSaid) {
  fs::create_directories(path_.parent_path());
  std::ofstream(path_) << std::string(5000, 'x');
  const auto database = Database::open(path_, kSchema);
  ASSERT_FALSE(database);
  EXPECT_EQ(database.error().code, ErrorCode::corrupt) << database.error().message;
  EXPECT_NE(database.error().message.find("hub.db"), std::string::npos);
  const auto nowhere = Database::open("/proc/none/hub.db", kSchema);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, ErrorCode::unavailable) << nowhere.error().message;
}

TEST_F(DatabaseTest, ManyThreadsAndASecondConnection) {
  const auto database = opened();
  const auto second = opened();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Database& own = t % 2 == 0 ? *database : *second;
      for (int i = 0; i < 20; ++i) {
        const std::string id = std::to_string(t) + "-" + std::to_string(i);
        EXPECT_TRUE(own.transaction([&]() -> Status {
          VERGE_CHECK(own.execute("INSERT INTO devices (id) VALUES (?)", {id}));
          return Done{};
        }));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count(*database), 80);
  EXPECT_EQ(count(*second), 80);
}

TEST_F(DatabaseTest, BackupIsADatabase) {
  const auto database = opened();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(database->execute("INSERT INTO devices (id) VALUES (?)", {std::to_string(i)}));
  }
  const fs::path copy = folder_ / "copy.db";
  ASSERT_TRUE(database->backup_to(copy));
  ASSERT_TRUE(database->execute("DELETE FROM devices WHERE seen IS NULL"));
  {
    const auto restored = Database::open(copy, kSchema);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(count(**restored), 100);
  }
  ASSERT_TRUE(database->backup_to(copy)) << "replaces the older one";
  EXPECT_EQ(count(**Database::open(copy, kSchema)), 0);
  EXPECT_FALSE(database->backup_to("/proc/none/copy.db"));
}

TEST(DatabaseInMemory, IsPrivate) {
  const auto first = Database::open(":memory:", kSchema);
  const auto second = Database::open(":memory:", kSchema);
  ASSERT_TRUE(first && second);
  ASSERT_TRUE((*first)->execute("INSERT INTO devices (id) VALUES ('a')"));
  EXPECT_EQ((*(*second)->query_one("SELECT COUNT(*) FROM devices"))->integer(0), 0);
  EXPECT_FALSE(fs::exists(":memory:"));
  for (int i = 0; i < 200; ++i) {  // More texts than statements are kept.
    EXPECT_EQ((*(*first)->query_one("SELECT " + std::to_string(i)))->integer(0), i);
  }
}

TEST(Database, KeepsFewPagesInMemory) {
  const TemporaryFolder folder;
  const auto before = sqlite3_memory_used();
  auto database = Database::open(folder.path() / "d.db", {{"rows", "CREATE TABLE rows (id INTEGER, text TEXT)"}});
  ASSERT_TRUE(database) << database.error().message;
  for (int batch = 0; batch < 50; ++batch) {
    ASSERT_TRUE((*database)->transaction([&]() -> Status {
      for (std::int64_t row = 0; row < 400; ++row)
        VERGE_CHECK((*database)->execute("INSERT INTO rows VALUES (?, ?)", {row, std::string(300, 'x')}));
      return Done{};
    }));
  }
  EXPECT_LT(sqlite3_memory_used() - before, 1 << 20) << "of six megabytes on disk";
  EXPECT_EQ((*(*database)->query_one("SELECT count(*), sum(length(text)) FROM rows"))->integer(1), 50 * 400 * 300);
  EXPECT_LT(sqlite3_memory_used() - before, 1 << 20) << "after all of it was read";
}

}  // namespace
}  // namespace verge::storage
